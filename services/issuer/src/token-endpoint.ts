import { errorCode, Histogram, UUID } from "@redoubt/base";
import { HttpError, readForm, type HttpAnswer, type HttpRequest } from "@redoubt/http";
import type { ClientInfo } from "@redoubt/registry";
import { ISSUANCE_BUCKETS } from "@redoubt/wire";
import { readCredentials, type ClientAuthenticator } from "./client-auth.ts";
import { JSON_HEADERS, OAuthError, type IssuerErrorCode } from "./errors.ts";
import type { IssuerEvents } from "./events.ts";
import type { RealmRegistry } from "./realm-registry.ts";
import type { PeopleLogin } from "./login/people-login.ts";
import type { SignerPort } from "./signer-port.ts";
import { readTokenRequest } from "./token-request.ts";

export interface TokenEndpointParts {
  /** URL template: what comes before the placeholder in its path, and after it, is the same for every tenant. */
  readonly tokenEndpoint: string;
  /** The realm's only tenant, or null where the path names it. */
  readonly tenant: string | null;
  readonly registry: Pick<RealmRegistry, "checkUsable" | "signerKnows" | "tenant">;
  readonly authenticator: ClientAuthenticator;
  readonly signer: SignerPort;
  readonly events: IssuerEvents;
  /** Of the people, where they sign in here; all other grants than the clients' own are theirs. */
  readonly people?: Pick<PeopleLogin, "token"> | undefined;
}

/** RFC 6749 §4.1.3, §6. */
const GRANTS_OF_PEOPLE: readonly (string | undefined)[] = ["authorization_code", "refresh_token"];

/** `client_credentials` (RFC 6749 §4.4) to an RFC 9068 access token. */
export class TokenEndpoint {
  readonly #parts: TokenEndpointParts;
  readonly #beforeTenant: string;
  readonly #afterTenant: string;
  /** Names for `HttpRequest.promote`, made once for each client. */
  readonly #placeNames = new WeakMap<ClientInfo, string>();
  readonly #refused = new Map<IssuerErrorCode, number>();
  readonly #seconds = new Histogram(ISSUANCE_BUCKETS);
  #issued = 0;

  constructor(parts: TokenEndpointParts) {
    this.#parts = parts;
    const path = parts.tokenEndpoint.replace(/^https?:\/\/[^/]+/, "");
    const [before = "", after = ""] = path.split("{tenantid}");
    this.#beforeTenant = before;
    this.#afterTenant = after;
  }

  counts(): { readonly issued: number; readonly refused: number } {
    let refused = 0;
    for (const count of this.#refused.values()) refused += count;
    return { issued: this.#issued, refused };
  }

  /** How many were refused, by code. */
  get refused(): ReadonlyMap<IssuerErrorCode, number> {
    return this.#refused;
  }

  /** How long those that got a token waited. */
  get seconds(): Pick<Histogram, "read"> {
    return this.#seconds;
  }

  async handle(request: HttpRequest): Promise<HttpAnswer> {
    const tenant = this.#tenantOf(request.path);
    if (tenant === undefined) throw new HttpError("ERR_HTTP_NOT_FOUND", "Nothing is here");
    if (request.method !== "POST")
      throw new HttpError("ERR_HTTP_METHOD", "Use POST", { headers: ["allow", "POST"] });
    try {
      return await this.#issue(tenant, request);
    } catch (error) {
      return this.#refuse(tenant, request, error);
    }
  }

  #tenantOf(path: string): string | undefined {
    const { tenant } = this.#parts;
    if (tenant !== null) return path === this.#beforeTenant ? tenant : undefined;
    if (!path.startsWith(this.#beforeTenant) || !path.endsWith(this.#afterTenant)) return undefined;
    const named = path.slice(this.#beforeTenant.length, path.length - this.#afterTenant.length);
    return UUID.test(named) ? named : undefined;
  }

  async #issue(tenant: string, request: HttpRequest): Promise<HttpAnswer> {
    const { authenticator, signer, registry, people } = this.#parts;
    const startMs = performance.now();
    registry.checkUsable();
    const form = readForm(request);
    if (people && GRANTS_OF_PEOPLE.includes(form.get("grant_type")))
      return people.token(request, tenant, form);
    const credentials = readCredentials(request, form);
    const authenticated = authenticator.authenticate(tenant, credentials, request.address);
    const client = authenticated instanceof Promise ? await authenticated : authenticated;
    this.#checkStatus(client);
    // THREAT-36: from here on the connection has one of this client's places, which no stranger can take.
    request.promote(this.#placeNameOf(client));
    const { audience, scope } = readTokenRequest(form, client);
    const signerKnows = registry.signerKnows(client);
    if (signerKnows) await signerKnows;
    const { token, expiresIn } = await signer.issue({
      tenant,
      client: client.client,
      audience,
      scope,
    });
    this.#issued += 1;
    this.#seconds.observe((performance.now() - startMs) / 1000);
    return { status: 200, headers: JSON_HEADERS, body: encodeAnswer(token, expiresIn, scope) };
  }

  #placeNameOf(client: ClientInfo): string {
    const known = this.#placeNames.get(client);
    if (known !== undefined) return known;
    const name = `client:${client.tenant}/${client.client}`;
    this.#placeNames.set(client, name);
    return name;
  }

  // Said only to a client that has proven who it is.
  #checkStatus(client: ClientInfo): void {
    const tenant = this.#parts.registry.tenant(client.tenant);
    if (client.status !== "active" || tenant?.status !== "active")
      throw new OAuthError(
        "ERR_ISSUER_CLIENT_STATUS",
        "unauthorized_client",
        "Client or tenant is not active",
      );
  }

  #refuse(tenant: string, { id }: HttpRequest, error: unknown): HttpAnswer {
    const refusal = error instanceof HttpError ? malformed(error) : error;
    if (!(refusal instanceof OAuthError)) throw error;
    this.#refused.set(refusal.code, (this.#refused.get(refusal.code) ?? 0) + 1);
    this.#parts.events.refused({
      requestId: id,
      tenant,
      code: refusal.code,
      ...(refusal.cause === undefined ? {} : { cause: errorCode(refusal.cause) }),
    });
    return refusal.answer();
  }
}

/** RFC 6749 §5.1. The signer port has made sure of the token's form: nothing in it needs an escape. */
function encodeAnswer(token: string, expiresIn: number, scope: string | undefined): string {
  const rest = JSON.stringify({ token_type: "Bearer", expires_in: expiresIn, scope });
  return `{"access_token":"${token}",${rest.slice(1)}`;
}

function malformed(cause: HttpError): OAuthError {
  return new OAuthError("ERR_ISSUER_FORM", "invalid_request", cause.message, { cause });
}

import type { HttpAnswer, HttpRequest } from "@redoubt/http";
import type { ClientInfo } from "@redoubt/registry";
import { readCredentials, type ClientAuthenticator } from "../client-auth.ts";
import { invalidClient, OAuthError } from "../errors.ts";
import { isConfidential } from "./client-metadata.ts";
import type { Library } from "./library.ts";
import type { LoginPaths } from "./login-place.ts";

export interface BackChannelParts {
  readonly library: Library;
  readonly paths: LoginPaths;
  /** Of the token endpoint: what a DPoP proof names (RFC 9449 §4.2 `htu`). */
  readonly tokenOrigin: URL;
  readonly authenticator: Pick<ClientAuthenticator, "authenticate">;
  readonly client: (tenant: string, client: string) => ClientInfo | undefined;
  /** @throws OAuthError while no token can be signed, or the registry cannot be relied on */
  readonly checkUsable: () => void;
  /** A code or refresh token was spent and no token came of it: whoever holds it may try again. */
  readonly giveBack: (tenant: string, form: Form) => Promise<void>;
}

type Form = ReadonlyMap<string, string>;

/** Ways by which a client may prove itself; the library hears nothing of them. */
const CREDENTIALS: readonly string[] = [
  "client_secret",
  "client_assertion",
  "client_assertion_type",
];

/**
 * What clients ask for without a browser: tokens for a code or a refresh token, a pushed request, the end of a token.
 * Who the client is, is decided here, as for every other token (THREAT-34); the library is told.
 */
export class BackChannel {
  readonly #parts: BackChannelParts;

  constructor(parts: BackChannelParts) {
    this.#parts = parts;
  }

  /** @throws OAuthError */
  async answer(
    request: HttpRequest,
    form: Form,
    place: { readonly tenant: string; readonly path: string },
  ): Promise<HttpAnswer> {
    const { library, paths, tokenOrigin, checkUsable, giveBack } = this.#parts;
    const { tenant, path } = place;
    // Before the library spends a code or a refresh token.
    checkUsable();
    const client = await this.#authenticate(tenant, request, form);
    const asked = withoutCredentials(request, form, client.client);
    const mount = paths.mountOf(tenant);
    try {
      return await library.answer(asked, tenant, { origin: tokenOrigin, mount, path });
    } catch (error) {
      await giveBack(tenant, form);
      throw error;
    }
  }

  async #authenticate(tenant: string, request: HttpRequest, form: Form): Promise<ClientInfo> {
    const client = await this.#identify(tenant, request, form);
    // Said only to whoever has proven to be the client, or to one that proves nothing.
    if (client.status !== "active" || client.login === undefined)
      throw new OAuthError(
        "ERR_ISSUER_CLIENT_STATUS",
        "unauthorized_client",
        "No person signs in through this client",
      );
    return client;
  }

  async #identify(tenant: string, request: HttpRequest, form: Form): Promise<ClientInfo> {
    const { authenticator, client: find } = this.#parts;
    const isProven =
      "authorization" in request.headers || CREDENTIALS.some((name) => form.has(name));
    if (isProven) {
      const credentials = readCredentials(request, form);
      const client = await authenticator.authenticate(tenant, credentials, request.address);
      // THREAT-36: its connection has one of its own places now.
      request.promote(`client:${tenant}/${client.client}`);
      return client;
    }
    const client = find(tenant, form.get("client_id") ?? "");
    // RFC 6749 §3.2.1: one that has a way to prove itself must use it.
    if (!client || isConfidential(client))
      throw invalidClient("ERR_ISSUER_AUTH_MISSING", { challenge: true });
    return client;
  }
}

/** The same request as a public client would make it. */
function withoutCredentials(request: HttpRequest, form: Form, clientId: string): HttpRequest {
  const fields = [...form].filter(([name]) => !CREDENTIALS.includes(name) && name !== "client_id");
  const body = Buffer.from(String(new URLSearchParams([...fields, ["client_id", clientId]])));
  const { authorization: _, ...headers } = request.headers;
  const rawHeaders = request.rawHeaders.filter(
    (_text, at) => request.rawHeaders[at - (at % 2)]?.toLowerCase() !== "authorization",
  );
  return {
    ...request,
    headers: {
      ...headers,
      "content-type": "application/x-www-form-urlencoded",
      "content-length": String(body.length),
    },
    rawHeaders,
    body,
  };
}

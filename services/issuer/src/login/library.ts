import { errorLine, nowSeconds, type Clock } from "@redoubt/base";
import type { HttpAnswer, HttpRequest } from "@redoubt/http";
import type { RealmKey } from "@redoubt/wire";
import { Provider } from "oidc-provider";
import { OAuthError } from "../errors.ts";
import { LibraryRequest, LibraryResponse, type LibraryPlace } from "./library-exchange.ts";
import { openProvider, type ProviderParts } from "./provider.ts";
import { keysOfTenant } from "./signing-keys.ts";

export interface LibraryParts extends Omit<
  ProviderParts,
  "tenant" | "issuer" | "keys" | "client" | "sign" | "interactionPath" | "mount"
> {
  readonly issuerOf: (tenant: string) => string;
  /** The tenant's part of the path. */
  readonly mountOf: (tenant: string) => string;
  readonly client: (tenant: string, client: string) => ReturnType<ProviderParts["client"]>;
  /** The realm's keys as the signer last listed them, always the same array while they are the same. */
  readonly keys: () => readonly RealmKey[];
  /** Has a token of this tenant signed: class, header and payload. */
  readonly sign: (tenant: string, kind: "at" | "oidc", input: string) => Promise<Buffer>;
  /** Something in the library that never should happen. */
  readonly onError: (message: string) => void;
  readonly clock: Clock;
}

/** A request in the library's hands, with what became of it. */
export interface LibraryExchange {
  readonly request: LibraryRequest;
  readonly response: LibraryResponse;
  readonly provider: Provider;
}

/** Each takes some 100 kB. Those of tenants beyond are made anew when somebody comes. */
const MAX_PROVIDERS = 500;

interface Opened {
  readonly provider: Provider;
  readonly keys: readonly RealmKey[];
  /** No key's window ends before. */
  readonly until: number;
}

/**
 * The protocol library's instances, one for each tenant and set of keys. They keep nothing: all state is in the store,
 * so that any replica can go on with what another began.
 */
export class Library {
  readonly #parts: LibraryParts;
  /** The one that was used longest ago is the first. */
  readonly #opened = new Map<string, Opened>();

  constructor(parts: LibraryParts) {
    this.#parts = parts;
  }

  /** Has the library answer a request. @throws OAuthError `ERR_ISSUER_SIGNER_DOWN` while nothing signs for this tenant */
  async answer(request: HttpRequest, tenant: string, place: LibraryPlace): Promise<HttpAnswer> {
    const exchange = this.begin(request, tenant, place);
    return this.run(exchange);
  }

  begin(request: HttpRequest, tenant: string, place: LibraryPlace): LibraryExchange {
    const made = new LibraryRequest(request, place);
    return { request: made, response: new LibraryResponse(made), provider: this.of(tenant) };
  }

  /** @throws what kept a token from being signed, where one was asked for */
  async run({ request, response, provider }: LibraryExchange): Promise<HttpAnswer> {
    await provider.callback()(request, response);
    response.end();
    const answer = await response.answer;
    if (request.refusal && answer.status >= 500) throw request.refusal;
    return answer;
  }

  of(tenant: string): Provider {
    const now = nowSeconds(this.#parts.clock);
    const keys = this.#parts.keys();
    const known = this.#opened.get(tenant);
    this.#opened.delete(tenant);
    const opened =
      known?.keys === keys && now < known.until ? known : this.#open(tenant, keys, now);
    this.#opened.set(tenant, opened);
    const [oldest] = this.#opened.keys();
    if (this.#opened.size > MAX_PROVIDERS && oldest !== undefined) this.#opened.delete(oldest);
    return opened.provider;
  }

  #open(tenant: string, keys: readonly RealmKey[], now: number): Opened {
    const parts = this.#parts;
    const own = keysOfTenant(keys, tenant, now);
    if (!own)
      throw new OAuthError("ERR_ISSUER_SIGNER_DOWN", "temporarily_unavailable", "Try again later", {
        retryAfterSeconds: 2,
      });
    const mount = parts.mountOf(tenant);
    const provider = openProvider({
      ...parts,
      tenant,
      keys: own,
      issuer: parts.issuerOf(tenant),
      client: (client) => parts.client(tenant, client),
      mount,
      interactionPath: (uid) => `${mount}/interaction/${uid}`,
      sign: (kind, input) => this.#sign(tenant, kind, input),
    });
    provider.on("server_error", (_ctx, error) => parts.onError(errorLine(error)));
    return { provider, keys, until: Math.min(own.at.signUntil, own.oidc.signUntil) };
  }

  /** What refused to sign is told to the client as it is told to others, and not as the library's own failure. */
  async #sign(tenant: string, kind: "at" | "oidc", input: string): Promise<Buffer> {
    const request = Provider.ctx?.req;
    try {
      return await this.#parts.sign(tenant, kind, input);
    } catch (error) {
      if (request instanceof LibraryRequest && error instanceof Error) request.refusal = error;
      throw error;
    }
  }
}

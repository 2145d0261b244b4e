import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import { nowSeconds, type Clock } from "@redoubt/base";
import {
  addressBlock,
  decodeFormText,
  HttpError,
  parseBasic,
  singleHeader,
  type HttpRequest,
} from "@redoubt/http";
import { MAX_CREDENTIALS, type ClientInfo } from "@redoubt/registry";
import type { ReplayRepository } from "@redoubt/store";
import { decodeBase64url } from "@redoubt/verify/base64url";
import {
  isClientsFault,
  parseAssertion,
  verifyAssertion,
  type UnverifiedAssertion,
} from "./client-assertion.ts";
import { importClientKey, nobodysKeys, type VerifyingKey } from "./client-keys.ts";
import { invalidClient, OAuthError } from "./errors.ts";
import type { FailedAttempts } from "./failed-attempts.ts";
import type { RealmRegistry } from "./realm-registry.ts";
import type { SignatureTurns } from "./signature-turns.ts";

/** How a request says who it is from; the client chose every part. */
export type Credentials =
  | {
      readonly method: "client_secret_basic" | "client_secret_post";
      readonly clientId: string;
      readonly secret: string;
    }
  | {
      readonly method: "private_key_jwt";
      readonly clientId: string;
      readonly assertion: UnverifiedAssertion;
    };

type Form = ReadonlyMap<string, string>;

const ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** RFC 6749 §2.3: exactly one method in each request. */
export function readCredentials(request: Pick<HttpRequest, "rawHeaders">, form: Form): Credentials {
  const authorization = singleHeader(request, "authorization");
  const hasAssertion = form.has("client_assertion") || form.has("client_assertion_type");
  const secret = form.get("client_secret");
  const methods = [authorization !== undefined, hasAssertion, secret !== undefined];
  const count = methods.filter(Boolean).length;
  if (count === 0) throw invalidClient("ERR_ISSUER_AUTH_MISSING", { challenge: true });
  if (count > 1)
    throw new OAuthError(
      "ERR_ISSUER_AUTH_METHODS",
      "invalid_request",
      "More than one method of client authentication",
    );
  if (authorization !== undefined) return checkClientId(form, readBasic(authorization));
  if (secret === undefined) return checkClientId(form, readAssertion(form));
  // RFC 6749 §2.3.1: here the secret does not say whose it is.
  const clientId = form.get("client_id");
  if (clientId === undefined) throw invalidClient("ERR_ISSUER_AUTH_MALFORMED");
  return { method: "client_secret_post", clientId, secret };
}

function readBasic(authorization: string): Credentials {
  try {
    const basic = parseBasic(authorization);
    if (!basic) throw invalidClient("ERR_ISSUER_AUTH_METHOD", { challenge: true });
    // RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
    const clientId = decodeFormText(basic.user);
    return { method: "client_secret_basic", clientId, secret: decodeFormText(basic.password) };
  } catch (cause) {
    if (cause instanceof HttpError)
      throw invalidClient("ERR_ISSUER_AUTH_MALFORMED", { challenge: true, cause });
    throw cause;
  }
}

function readAssertion(form: Form): Credentials {
  const text = form.get("client_assertion");
  if (form.get("client_assertion_type") !== ASSERTION_TYPE || text === undefined)
    throw invalidClient("ERR_ISSUER_AUTH_METHOD");
  const assertion = parseAssertion(text);
  return { method: "private_key_jwt", clientId: assertion.clientId, assertion };
}

// RFC 6749 §3.2.1, RFC 7521 §4.2: client_id may repeat who authenticates, never name somebody else.
function checkClientId(form: Form, credentials: Credentials): Credentials {
  const clientId = form.get("client_id");
  if (clientId !== undefined && clientId !== credentials.clientId)
    throw new OAuthError(
      "ERR_ISSUER_CLIENT_ID",
      "invalid_request",
      "client_id is of another client",
    );
  return credentials;
}

export interface AuthenticatorParts {
  readonly registry: Pick<RealmRegistry, "client">;
  readonly replay: ReplayRepository;
  readonly failed: FailedAttempts;
  readonly turns: SignatureTurns;
  readonly clock: Clock;
  /** Issuer identifier of a tenant. */
  readonly issuerOf: (tenant: string) => string;
  readonly tokenEndpointOf: (tenant: string) => string;
}

interface Secret {
  readonly hash: Buffer;
  readonly until: number;
}

/**
 * Decides whether a request is from the client that it names (THREAT-34). The credential is checked before anything is
 * asked about failures: a right one is never refused for what others did (THREAT-39).
 */
export class ClientAuthenticator {
  readonly #parts: AuthenticatorParts;
  readonly #secrets = new WeakMap<ClientInfo, readonly Secret[]>();
  readonly #keys = new WeakMap<ClientInfo, readonly VerifyingKey[]>();
  /** Nobody's secrets: without a client, too, so many are compared, and it takes as long. */
  readonly #nobody: readonly Secret[] = Array.from({ length: MAX_CREDENTIALS }, () => ({
    hash: randomBytes(32),
    until: -Infinity,
  }));
  readonly #nobodysKeys = nobodysKeys();

  constructor(parts: AuthenticatorParts) {
    this.#parts = parts;
  }

  /** Synchronous for a secret, so that the usual request waits for nothing. */
  authenticate(
    tenant: string,
    credentials: Credentials,
    address: string,
  ): ClientInfo | Promise<ClientInfo> {
    const { clientId, method } = credentials;
    const client = this.#parts.registry.client(tenant, clientId);
    if (method === "private_key_jwt")
      return this.#assertion(tenant, client, credentials.assertion, addressBlock(address));
    const isRight = this.#hasSecret(client, credentials.secret);
    if (isRight && client) return client;
    const refusal = invalidClient("ERR_ISSUER_SECRET", {
      challenge: method === "client_secret_basic",
    });
    const attempt = { tenant, clientId, isKnown: client !== undefined };
    throw this.#parts.failed.answer({ ...attempt, address: addressBlock(address) }, refusal);
  }

  #hasSecret(client: ClientInfo | undefined, secret: string): boolean {
    const given = hash("sha256", secret, "buffer");
    const now = nowSeconds(this.#parts.clock);
    let isOne = false;
    for (const { hash: expected, until } of client ? this.#secretsOf(client) : this.#nobody)
      if (timingSafeEqual(given, expected) && now < until) isOne = true;
    return isOne;
  }

  /** As many as a client may have, whatever it has. */
  #secretsOf(client: ClientInfo): readonly Secret[] {
    const known = this.#secrets.get(client);
    if (known) return known;
    const own = (client.credentials?.secrets ?? []).map((secret) => ({
      hash: decodeBase64url(secret.hash, { bytes: 32 }),
      until: secret.until ?? Infinity,
    }));
    const secrets = [...own, ...this.#nobody.slice(own.length)];
    this.#secrets.set(client, secrets);
    return secrets;
  }

  async #assertion(
    tenant: string,
    client: ClientInfo | undefined,
    assertion: UnverifiedAssertion,
    address: string,
  ): Promise<ClientInfo> {
    const { replay, clock, issuerOf, tokenEndpointOf, turns, failed } = this.#parts;
    const { clientId } = assertion;
    const now = nowSeconds(clock);
    const keys = client ? this.#keysOf(client).filter(({ until }) => now < until) : [];
    try {
      await verifyAssertion(assertion, {
        tenant,
        keys,
        nobodysKeys: this.#nobodysKeys,
        issuer: issuerOf(tenant),
        tokenEndpoint: tokenEndpointOf(tenant),
        unsafeTokenEndpointAudience: client?.credentials?.unsafeTokenEndpointAudience === true,
        nowSeconds: now,
        replay,
        turn: () => turns.turn(address),
        wasted: () => turns.wasted(address),
      });
    } catch (error) {
      if (!isClientsFault(error)) throw error;
      throw failed.answer({ tenant, clientId, isKnown: client !== undefined, address }, error);
    }
    if (!client) throw invalidClient("ERR_ISSUER_ASSERTION_CLIENT");
    return client;
  }

  #keysOf(client: ClientInfo): readonly VerifyingKey[] {
    const known = this.#keys.get(client);
    if (known) return known;
    const keys = (client.credentials?.keys ?? []).map(importClientKey);
    this.#keys.set(client, keys);
    return keys;
  }
}

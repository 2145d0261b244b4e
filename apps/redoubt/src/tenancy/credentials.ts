import { hash } from "node:crypto";
import {
  canonicalBytes,
  errorCode,
  nowSeconds,
  Secret,
  ServiceError,
  systemClock,
} from "@redoubt/base";
import { KeyError, parseDuration } from "@redoubt/keys";
import {
  parseClientJwk,
  type ClientCredentials,
  type ClientInfo,
  MAX_CREDENTIALS,
} from "@redoubt/registry";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { fileArgument, type CommandContext } from "../command.ts";
import { readInput } from "../input.ts";

export const NONE: ClientCredentials = { secrets: [], keys: [] };

/**
 * The new credentials, and of those before the ones that are still taken, until `until` (POSIX seconds) at the latest.
 *
 * @throws ServiceError `ERR_OPTION` for a kid that another key has, or more than 8 secrets or keys at once
 */
export function succeed(
  { secrets: secretsBefore, keys: keysBefore, ...options }: ClientCredentials,
  { secrets, keys }: ClientCredentials,
  now: number,
  until: number,
): ClientCredentials {
  const isSame = keys.map(keyName);
  const ending = <T extends { readonly until?: number }>(one: T): T => ({
    ...one,
    until: Math.min(one.until ?? until, until),
  });
  const isTaken = (one: { readonly until?: number }): boolean => (one.until ?? until) > now;
  const [oldSecrets, oldKeys] = [
    secretsBefore.map(ending).filter(isTaken),
    keysBefore
      .filter((key) => !isSame.includes(keyName(key)))
      .map(ending)
      .filter(isTaken),
  ];
  const names = new Set(keys.map(({ kid }) => kid));
  if (oldKeys.some(({ kid }) => names.has(kid)))
    throw new ServiceError("ERR_OPTION", "Another key has this kid: give the new one another");
  const all = { secrets: [...oldSecrets, ...secrets], keys: [...oldKeys, ...keys], ...options };
  if (all.secrets.length > MAX_CREDENTIALS || all.keys.length > MAX_CREDENTIALS)
    throw new ServiceError(
      "ERR_OPTION",
      `More than ${MAX_CREDENTIALS} would be taken at once: wait until some end, or end them with --overlap 0`,
    );
  return all;
}

/** With or without the token endpoint as an audience; the same object where that changes nothing. */
export function withAudience(
  credentials: ClientCredentials,
  isUnsafe: boolean | undefined,
): ClientCredentials {
  const { unsafeTokenEndpointAudience = false, ...others } = credentials;
  if (isUnsafe === undefined || isUnsafe === unsafeTokenEndpointAudience) return credentials;
  if (!isUnsafe) return others;
  if (others.keys.length === 0)
    throw new ServiceError(
      "ERR_OPTION",
      "--unsafe-token-endpoint-audience is for a client with keys: --jwks",
    );
  return { ...others, unsafeTokenEndpointAudience: true };
}

function keyName({ kid, jwk }: ClientCredentials["keys"][number]): string {
  return `${kid} ${canonicalBytes({ ...jwk }).toString()}`;
}

/** What a client proves itself with; undefined if the registry names a document that was lost. */
export function knownCredentials(known: ClientInfo): ClientCredentials | undefined {
  return known.credentialsHash === undefined ? NONE : known.credentials;
}

/** The same. @throws ServiceError `ERR_CLIENT_CREDENTIALS` if it was lost */
export function requireCredentials(known: ClientInfo): ClientCredentials {
  const credentials = knownCredentials(known);
  if (credentials) return credentials;
  throw new ServiceError(
    "ERR_CLIENT_CREDENTIALS",
    `What client ${known.client} proves itself with was lost: redoubt clients rotate gives it something new`,
  );
}

/** What the registry keeps of a secret: its hash, and since when. */
export function secretCredentials(secret: string): ClientCredentials {
  const added = nowSeconds(systemClock);
  return { secrets: [{ hash: hash("sha256", secret, "base64url"), added }], keys: [] };
}

export function newCredentials(jwks: readonly JsonObject[] | undefined): {
  readonly credentials: ClientCredentials;
  readonly secret?: string;
} {
  if (jwks) return { credentials: { secrets: [], keys: jwks.map(readKey) } };
  const secret = Secret.random().reveal();
  return { credentials: secretCredentials(secret), secret };
}

function readKey(jwk: JsonObject): ClientCredentials["keys"][number] {
  try {
    // RFC 9864: the name that older libraries write into a key. The registry has one spelling.
    const named = jwk["alg"] === "EdDSA" ? { ...jwk, alg: "Ed25519" } : jwk;
    return { ...parseClientJwk(named), added: nowSeconds(systemClock) };
  } catch (cause) {
    if (!(cause instanceof KeyError)) throw cause;
    throw new ServiceError("ERR_OPTION", `--jwks: ${cause.message}`, { cause });
  }
}

/** In seconds. @throws ServiceError `ERR_OPTION` */
export function parseOverlap(text: string): number {
  if (text === "0") return 0;
  try {
    return parseDuration(text);
  } catch (cause) {
    throw new ServiceError("ERR_OPTION", "--overlap must be 0 or a duration such as PT6H or P7D", {
      cause,
    });
  }
}

const MAX_JWKS_BYTES = 64 * 1024;

/** The keys in the file that `--jwks` names. */
export function readJwks(context: CommandContext, name: string): readonly JsonObject[] {
  const path = fileArgument(context, name);
  try {
    const { keys } = parseJsonObject(readInput(path, MAX_JWKS_BYTES));
    if (Array.isArray(keys) && keys.length > 0 && keys.every(isJsonObject)) return keys;
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause;
    throw new ServiceError("ERR_OPTION", `--jwks ${path} cannot be read (${errorCode(cause)})`, {
      cause,
    });
  }
  throw new ServiceError("ERR_OPTION", `--jwks ${path} must be {"keys":[…]} with public keys only`);
}

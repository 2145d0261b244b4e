import { fetchBounded, isSecureUrl } from "./bounded-fetch.ts";
import type { CheckedIssuer } from "./discovery-options.ts";
import { JsonError, parseJsonObject, type JsonObject, type JsonValue } from "./json.ts";
import { MAX_KEY_SET_BYTES, readKeySet, type ReadKeySet } from "./key-set.ts";
import { TrustError } from "./trust-error.ts";
import type { Freshness } from "./trusted-key.ts";

const MAX_METADATA_BYTES = 262_144;
const MAX_SHOWN_CHARS = 256;
const TIMEOUT_MS = 10_000;

export interface LoadContext {
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal;
  readonly allowLoopbackHttp: boolean;
  /** Default 10000. */
  readonly timeoutMs?: number;
}

/**
 * Loads the metadata of one issuer and its JWK set. Both addresses come from the configuration and from what was
 * served there, never from a token (P7).
 *
 * @throws TrustError
 */
export async function loadIssuer(
  issuer: CheckedIssuer,
  freshness: readonly Freshness[],
  context: LoadContext,
): Promise<ReadKeySet> {
  const url = issuer.jwksUrl ?? (await discover(issuer, context));
  return readKeySet(await loadDocument(url, MAX_KEY_SET_BYTES, context), issuer, freshness);
}

async function discover(issuer: CheckedIssuer, context: LoadContext): Promise<URL> {
  const metadata = parseMetadata(
    await loadDocument(issuer.metadataUrl, MAX_METADATA_BYTES, context),
  );
  // OpenID Connect Discovery §4.3: exactly equal, or one server speaks for another.
  if (metadata["issuer"] !== issuer.issuer)
    throw new TrustError(
      "ERR_DISCOVERY_ISSUER",
      `Discovery: ${issuer.metadataUrl.href} names issuer ${shown(metadata["issuer"])}, expected ${issuer.issuer}`,
    );
  return keySetUrl(metadata, issuer, context);
}

/** What a server said, for a log: bounded, and without what could pass for something else there. */
function shown(value: JsonValue | undefined): string {
  return (JSON.stringify(value) ?? "none").slice(0, MAX_SHOWN_CHARS);
}

function keySetUrl(metadata: JsonObject, issuer: CheckedIssuer, context: LoadContext): URL {
  const { jwks_uri: text } = metadata;
  if (typeof text !== "string" || !URL.canParse(text))
    throw new TrustError("ERR_DISCOVERY_DOCUMENT", "Discovery: no jwks_uri");
  const url = new URL(text);
  if (!isSecureUrl(url, context.allowLoopbackHttp) || url.origin !== issuer.jwksOrigin)
    throw new TrustError(
      "ERR_DISCOVERY_URL",
      `Discovery: jwks_uri ${shown(text)} is not at ${issuer.jwksOrigin}`,
    );
  return url;
}

function parseMetadata(bytes: Uint8Array): JsonObject {
  try {
    return parseJsonObject(bytes, { maxBytes: MAX_METADATA_BYTES });
  } catch (cause) {
    // mutate: nothing else is thrown in there; a fault of our own would stay one.
    if (!(cause instanceof JsonError)) throw cause;
    throw new TrustError("ERR_DISCOVERY_DOCUMENT", `Discovery: ${cause.message}`, { cause });
  }
}

/** @throws TrustError `ERR_DISCOVERY_FETCH` */
export async function loadDocument(
  url: URL,
  maxBytes: number,
  context: LoadContext,
): Promise<Uint8Array> {
  const { fetch, signal, timeoutMs = TIMEOUT_MS } = context;
  const init = { headers: { accept: "application/json" } };
  let response;
  try {
    response = await fetchBounded({ fetch, url, init, maxBytes, timeoutMs, signal });
  } catch (cause) {
    throw new TrustError("ERR_DISCOVERY_FETCH", `Discovery: cannot load ${url.href}`, { cause });
  }
  if (response.status !== 200)
    throw new TrustError(
      "ERR_DISCOVERY_FETCH",
      `Discovery: ${url.href} answered ${response.status}, expected 200`,
    );
  return response.body;
}

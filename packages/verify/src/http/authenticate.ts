import type { SenderContext } from "../binding.ts";
import { isJsonObject } from "../json.ts";
import { TokenError } from "../token-error.ts";
import type { VerifiedToken } from "../verified-token.ts";
import {
  checkAuthOptions,
  type AuthOptions,
  type AuthPolicy,
  type AsyncVerifier,
} from "./auth-options.ts";
import { fieldValues, parseCredentials, type RequestFacts } from "./credentials.ts";
import {
  refuseForNow,
  refuseGrant,
  refuseMalformed,
  refuseToken,
  refuseUnauthenticated,
  type Refusal,
} from "./refusal.ts";
import { isGranted } from "./scopes.ts";

/** A verified token, or the answer to give. */
export type Authentication = { readonly ok: true; readonly token: VerifiedToken } | Refusal;

/**
 * Decides about one request, for any framework; the middleware of this package is this function and no more.
 *
 * The token is read from the `Authorization` header (RFC 6750 §2.1), never from query or body. Refusals: 401 without an
 * error for no token, 401 `invalid_token` for every bad one, 400 `invalid_request`, 403 `insufficient_scope` (RFC 6750
 * §3.1), and 503 with `Retry-After` before the verifier is ready, when its trust data are stale, and once it is closed.
 *
 * @throws TypeError for options that are missing or unknown; what `context` and `onRefused` throw
 * @example
 * const result = await authenticate(request, { verifier, scopes: ["orders.read"] });
 * if (!result.ok) return new Response(result.body, result);
 * result.token.payload.sub;
 */
export async function authenticate(
  request: RequestFacts,
  options: AuthOptions,
): Promise<Authentication> {
  return decide(request, checkAuthOptions(options));
}

/** `authenticate` with options that were checked before. */
export async function decide(request: RequestFacts, policy: AuthPolicy): Promise<Authentication> {
  const [result, reason] = await judge(request, policy);
  if (!result.ok) policy.onRefused?.(result, reason);
  return result;
}

type Judgement = readonly [Authentication, reason?: unknown];

async function judge(request: RequestFacts, policy: AuthPolicy): Promise<Judgement> {
  const credentials = parseCredentials(request);
  if (credentials.kind === "malformed") return [refuseMalformed(policy)];
  if (credentials.kind === "none") return [refuseUnauthenticated(policy)];
  const { scheme, token: text } = credentials;
  const context = policy.context?.(request);
  // RFC 6750 §3.1: a scheme that is not supported is as good as none.
  if (scheme === "DPoP" && context?.dpop === undefined) return [refuseUnauthenticated(policy)];
  let verifier: AsyncVerifier | undefined;
  try {
    // Looks at the promise without waiting: if it is settled it wins the race, if not the undefined does.
    verifier = await Promise.race([policy.verifier, Promise.resolve(undefined)]);
  } catch (error) {
    return [refuseForNow(policy.retryAfterSeconds), error];
  }
  if (verifier === undefined) return [refuseForNow(policy.retryAfterSeconds)];
  let token: VerifiedToken;
  try {
    token = await verifier.verifyAsync(text, scheme === "DPoP" ? context : withoutProof(context));
  } catch (error) {
    return [refusalFor(error, policy), error];
  }
  // RFC 9449 §7.1: the scheme DPoP is for tokens that are bound to a key, and for no others.
  if (scheme === "DPoP" && !isBoundToKey(token)) return [refuseToken(policy)];
  if (!isGranted(token, policy.requirement)) return [refuseGrant(policy, policy.requirement)];
  return [{ ok: true, token }];
}

// RFC 9449 §7.2: a bound token that is sent as a bearer token is refused, whatever proof stands beside it.
function withoutProof(context: SenderContext | undefined): SenderContext | undefined {
  if (context?.clientCertificate === undefined) return undefined;
  return { clientCertificate: context.clientCertificate };
}

function isBoundToKey({ payload }: VerifiedToken): boolean {
  const { cnf } = payload;
  return isJsonObject(cnf) && typeof cnf["jkt"] === "string";
}

function refusalFor(error: unknown, policy: AuthPolicy): Refusal {
  if (!(error instanceof TokenError)) throw error;
  return error.status === 503 ? refuseForNow(policy.retryAfterSeconds) : refuseToken(policy);
}

/**
 * A builder for the option `context`: the proof in the `DPoP` header, and the request that it must be for (RFC 9449
 * §4.3). `origin` is what clients see, such as `https://api.example`: behind a proxy the request does not say.
 *
 * @throws TypeError for text that is no origin
 */
export function dpopContext({
  origin,
}: {
  readonly origin: string;
}): (request: RequestFacts) => SenderContext | undefined {
  if (!URL.canParse(origin) || new URL(origin).origin !== origin)
    throw new TypeError("origin: expected scheme and host, without a path");
  return ({ method, url, headers }) => {
    const [proof, ...more] = fieldValues(headers, "dpop");
    if (proof === undefined || more.length > 0) return undefined;
    // RFC 9449 §4.3: htu has neither query nor fragment.
    const path = URL.canParse(url) ? new URL(url).pathname : url.replace(/[?#].*$/s, "");
    return { dpop: { proof, method, url: `${origin}${path}` } };
  };
}

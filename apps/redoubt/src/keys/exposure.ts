import { errorLine } from "@redoubt/base";
import type { KeyInfo, Registry } from "@redoubt/registry";
import { span } from "../table.ts";
import { issuersOf, settledKeys, type PublishedIssuer, type ServedKeys } from "./served-keys.ts";

/** Who may still take tokens of a key that was tainted, and for how long. Seconds. */
export interface Exposure {
  /** An issuer that the key covers, and whether its JWKS still lists the key; null where none is served. */
  readonly jwks: { readonly issuer: string; readonly listed: boolean } | null;
  /** Why nobody could look, for instance because the issuer's name means nothing on this machine; null where one could. */
  readonly unchecked: string | null;
  /** What the JWKS says that clients may keep it for. */
  readonly jwksMaxAgeSeconds: number;
  readonly isMaxAgeKnown: boolean;
  readonly tokenLifetimeSeconds: number;
  readonly verifierPollSeconds: number;
}

/** ARCHITECTURE §3.4: no JWKS of ours may be kept for longer. */
const LONGEST_MAX_AGE = 3600;
/** `refreshSeconds` of @redoubt/verify's discovery where nobody chose another. */
const VERIFIER_POLL = 300;

/** The key is tainted by now, whatever goes wrong here: nothing throws because an issuer does not answer. */
export async function measureExposure(
  registry: Pick<Registry, "tenants" | "realms">,
  key: KeyInfo,
  publisher: number,
): Promise<Exposure> {
  const [issuer] = issuersOf(registry, key);
  const looked: Looked =
    issuer === undefined ? { unchecked: null } : await look({ issuer, publisher }, key.kid);
  const { served, unchecked } = looked;
  return {
    jwks: served ? { issuer: served.issuer, listed: served.kids.includes(key.kid) } : null,
    unchecked,
    jwksMaxAgeSeconds: served?.maxAgeSeconds ?? LONGEST_MAX_AGE,
    isMaxAgeKnown: typeof served?.maxAgeSeconds === "number",
    tokenLifetimeSeconds: key.record.maxLifetimeSeconds,
    verifierPollSeconds: VERIFIER_POLL,
  };
}

interface Looked {
  readonly served?: ServedKeys | undefined;
  readonly unchecked: string | null;
}

async function look(at: PublishedIssuer, kid: string): Promise<Looked> {
  try {
    return { served: await settledKeys(at, kid, false), unchecked: null };
  } catch (error) {
    return { unchecked: errorLine(error) };
  }
}

export function exposureText(exposure: Exposure): string {
  const { jwksMaxAgeSeconds, isMaxAgeKnown, tokenLifetimeSeconds, verifierPollSeconds } = exposure;
  const maxAge = `${isMaxAgeKnown ? "" : "at most "}${span(jwksMaxAgeSeconds)}`;
  return [
    jwksText(exposure),
    "Who may still take its tokens:",
    `  verifiers of @redoubt/verify: until their next load of the keys (${span(verifierPollSeconds)}, or their refreshSeconds)`,
    `  ordinary clients: until their copy of the JWKS ends: ${maxAge} (max-age), and as much longer as they keep keys by their own choice`,
    `  sessions that began with one: ${span(tokenLifetimeSeconds)} (longest token), unless a service keeps them for longer`,
    "Nobody is told at once: there is no push channel yet. Restart or reload what cannot wait.",
  ].join("\n");
}

function jwksText({ jwks, unchecked }: Exposure): string {
  if (unchecked !== null)
    return `NOT CHECKED whether a JWKS still lists it: ${unchecked}. Look from where the issuer is reached`;
  if (!jwks) return "No JWKS that would list it is served: see redoubt status";
  return jwks.listed
    ? `${jwks.issuer}/keys STILL LISTS it: is the publisher running? See redoubt status`
    : `${jwks.issuer}/keys does not list it any more`;
}

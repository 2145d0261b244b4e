import type { KeyInfo, Registry } from "@redoubt/registry";
import { span } from "../table.ts";
import { issuersOf, settledKeys } from "./served-keys.ts";

/** Who may still take tokens of a key that was tainted, and for how long. Seconds. */
export interface Exposure {
  /** An issuer that the key covers, and whether its JWKS still lists the key; null where none is served. */
  readonly jwks: { readonly issuer: string; readonly listed: boolean } | null;
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

export async function measureExposure(
  registry: Pick<Registry, "tenants" | "realms">,
  key: KeyInfo,
  publisher: number,
): Promise<Exposure> {
  const [issuer] = issuersOf(registry, key);
  const served =
    issuer === undefined ? undefined : await settledKeys({ issuer, publisher }, key.kid, false);
  return {
    jwks: served ? { issuer: served.issuer, listed: served.kids.includes(key.kid) } : null,
    jwksMaxAgeSeconds: served?.maxAgeSeconds ?? LONGEST_MAX_AGE,
    isMaxAgeKnown: typeof served?.maxAgeSeconds === "number",
    tokenLifetimeSeconds: key.record.maxLifetimeSeconds,
    verifierPollSeconds: VERIFIER_POLL,
  };
}

export function exposureText(exposure: Exposure): string {
  const { jwks, jwksMaxAgeSeconds, isMaxAgeKnown, tokenLifetimeSeconds, verifierPollSeconds } =
    exposure;
  const maxAge = `${isMaxAgeKnown ? "" : "at most "}${span(jwksMaxAgeSeconds)}`;
  return [
    jwksText(jwks),
    "Who may still take its tokens:",
    `  verifiers of @redoubt/verify: until their next load of the keys (${span(verifierPollSeconds)}, or their refreshSeconds)`,
    `  ordinary clients: until their copy of the JWKS ends: ${maxAge} (max-age), and as much longer as they keep keys by their own choice`,
    `  sessions that began with one: ${span(tokenLifetimeSeconds)} (longest token), unless a service keeps them for longer`,
    "Nobody is told at once: there is no push channel yet. Restart or reload what cannot wait.",
  ].join("\n");
}

function jwksText(jwks: Exposure["jwks"]): string {
  if (!jwks) return "No JWKS that would list it is served: see redoubt status";
  return jwks.listed
    ? `${jwks.issuer}/keys STILL LISTS it: is the publisher running? See redoubt status`
    : `${jwks.issuer}/keys does not list it any more`;
}

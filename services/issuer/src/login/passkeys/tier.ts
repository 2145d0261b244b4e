import type { Passkey } from "./passkey.ts";

/** Strength of a passkey, rising. */
export type PasskeyTier = "synced" | "device-bound" | "attested";

export interface TierClaims {
  /** OpenID Connect Core §2. */
  readonly acr: string;
  /** RFC 8176 §2. */
  readonly amr: readonly string[];
}

/**
 * Strength of a passkey. "attested" alone is proven by a vendor; "device-bound" is what the authenticator says of
 * itself, which keeps an honest person's key apart from a synced one and does not stop a person who lies about it. A
 * synced passkey stays "synced" with attestation: its key can leave the device that was attested.
 */
export function tierOf({ backupEligible, trust }: Passkey): PasskeyTier {
  if (backupEligible) return "synced";
  return trust === "chain" ? "attested" : "device-bound";
}

/**
 * What tokens say of a sign-in with a passkey of this tier. The names are ours, because no registered one tells synced
 * from bound; each tier has one, so that a client asks for exactly what it needs by `acr_values`.
 *
 * Every tier proved a key (`pop`), a person who was there (`user`) and, as verification of the user is never optional,
 * a second factor (`mfa`). `hwk` is said only where a vendor vouches for the device; otherwise nothing proves hardware,
 * and the key counts as `swk`. How the user was verified (`pin`, `fpt`) is not known here. `pwd` and `otp` never appear.
 */
export const TIER_CLAIMS: Readonly<Record<PasskeyTier, TierClaims>> = {
  synced: { acr: "urn:redoubt:acr:passkey", amr: ["pop", "swk", "user", "mfa"] },
  "device-bound": { acr: "urn:redoubt:acr:passkey-device", amr: ["pop", "swk", "user", "mfa"] },
  attested: { acr: "urn:redoubt:acr:passkey-attested", amr: ["pop", "hwk", "user", "mfa"] },
};

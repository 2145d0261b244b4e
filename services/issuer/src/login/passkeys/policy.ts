import type { Certificate } from "@redoubt/evidence";
import type { ModelMetadata } from "./metadata.ts";
import type { Passkey } from "./passkey.ts";
import { PasskeyError } from "./passkey-error.ts";

export interface PasskeyPolicy {
  /** "required": only `trust` "chain" will do, which excludes nearly every synced passkey. */
  readonly attestation: "none" | "required";
  readonly synced: "allowed" | "refused";
  /** Models that will do, and no others; null, said aloud, for all. Refuses every passkey whose model is not proven. */
  readonly allowAaguids: readonly string[] | null;
  /**
   * Models that will not do. It binds only those who say the truth: a key that sends no attestation has no proven
   * model and evades this list, unless `attestation` is "required".
   */
  readonly denyAaguids: readonly string[];
  /** Vendors' roots by AAGUID, beside those that the metadata names. */
  readonly roots: ReadonlyMap<string, readonly Certificate[]>;
}

/**
 * Statuses (FIDO Metadata Service 3.0 §3.1.4) after which the key may be anybody's. A later report does not heal: it is
 * about new firmware, and which one a key runs is not known.
 */
const BROKEN: readonly string[] = [
  "REVOKED",
  "USER_VERIFICATION_BYPASS",
  "ATTESTATION_KEY_COMPROMISE",
  "USER_KEY_REMOTE_COMPROMISE",
  "USER_KEY_PHYSICAL_COMPROMISE",
];

/**
 * Checks a passkey against the policy and metadata of now. Registration, sign-in and presence all call it, so a list or
 * a status that changes later refuses passkeys that were registered before.
 *
 * @param metadata null, said aloud, where there is none
 * @throws PasskeyError `ERR_PASSKEY_UNATTESTED`, `ERR_PASSKEY_SYNCED`, `ERR_PASSKEY_MODEL`, `ERR_PASSKEY_MODEL_STATUS`
 */
export function checkPasskeyPolicy(
  passkey: Pick<Passkey, "trust" | "aaguid" | "backupEligible">,
  policy: PasskeyPolicy,
  metadata: ModelMetadata | null,
): void {
  const aaguid = passkey.trust === "chain" ? passkey.aaguid : undefined;
  if (policy.attestation === "required" && aaguid === undefined)
    throw new PasskeyError("ERR_PASSKEY_UNATTESTED", "Policy: attestation is required");
  if (policy.synced === "refused" && passkey.backupEligible)
    throw new PasskeyError("ERR_PASSKEY_SYNCED", "Policy: synced passkeys are refused");
  if (
    policy.allowAaguids !== null &&
    (aaguid === undefined || !policy.allowAaguids.includes(aaguid))
  )
    throw new PasskeyError("ERR_PASSKEY_MODEL", "Policy: model is not allowed");
  if (aaguid === undefined) return;
  if (policy.denyAaguids.includes(aaguid))
    throw new PasskeyError("ERR_PASSKEY_MODEL", "Policy: model is denied");
  const statuses = metadata?.models.get(aaguid)?.statuses ?? [];
  if (statuses.some((status) => BROKEN.includes(status)))
    throw new PasskeyError("ERR_PASSKEY_MODEL_STATUS", "Metadata: model is revoked or broken");
}

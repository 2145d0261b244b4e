import { createHash } from "node:crypto";
import { PasskeyError } from "./passkey-error.ts";

/** What of the authenticator data (WebAuthn §6.1) is in every answer. */
export interface AuthenticatorState {
  readonly counter: number;
  readonly backupEligible: boolean;
  readonly backedUp: boolean;
}

const FLAGS_AT = 32;
const HEAD_BYTES = 37;
const USER_PRESENT = 0x01;
const USER_VERIFIED = 0x04;
const BACKUP_ELIGIBLE = 0x08;
const BACKED_UP = 0x10;

/**
 * Checks relying party, presence, verification and backup bits, each with a code of its own. It runs before the
 * signature is verified, so nothing that it returns may be used earlier.
 *
 * @throws PasskeyError
 */
export function checkAuthenticatorData(
  authenticatorData: Uint8Array,
  rpId: string,
): AuthenticatorState {
  const head = Buffer.from(authenticatorData);
  if (head.length < HEAD_BYTES)
    throw new PasskeyError("ERR_PASSKEY_FORM", "Authenticator data: cut off");
  if (!head.subarray(0, FLAGS_AT).equals(createHash("sha256").update(rpId).digest()))
    throw new PasskeyError("ERR_PASSKEY_RP", "Authenticator data: other relying party");
  const flags = head.readUInt8(FLAGS_AT);
  if ((flags & USER_PRESENT) === 0)
    throw new PasskeyError("ERR_PASSKEY_USER_PRESENCE", "Authenticator data: nobody was present");
  // THREAT-18: a key without PIN or finger is one factor alone.
  if ((flags & USER_VERIFIED) === 0)
    throw new PasskeyError(
      "ERR_PASSKEY_USER_VERIFICATION",
      "Authenticator data: user not verified",
    );
  const backupEligible = (flags & BACKUP_ELIGIBLE) !== 0;
  const backedUp = (flags & BACKED_UP) !== 0;
  // WebAuthn §6.1.3: what cannot be backed up is not.
  if (backedUp && !backupEligible)
    throw new PasskeyError("ERR_PASSKEY_BACKUP", "Authenticator data: backed up, yet not eligible");
  return { counter: head.readUInt32BE(FLAGS_AT + 1), backupEligible, backedUp };
}

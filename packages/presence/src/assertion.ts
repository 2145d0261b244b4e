import { hash, timingSafeEqual, verify } from "node:crypto";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject } from "@redoubt/verify/json";
import type { CredentialKey } from "./cose-key.ts";
import { PresenceError, refuseAs } from "./presence-error.ts";

/** WebAuthn §5.2.2, as the browser gave it. */
export interface Assertion {
  /** base64url. */
  readonly credentialId: string;
  readonly clientDataJSON: Uint8Array;
  readonly authenticatorData: Uint8Array;
  readonly signature: Uint8Array;
}

export interface ExpectedAssertion {
  readonly challenge: Uint8Array;
  readonly rpId: string;
  readonly origin: string;
  readonly credential: { readonly id: string } & CredentialKey;
}

/** What an authenticator signed. */
export interface VerifiedAssertion {
  readonly credentialId: string;
  readonly userVerified: true;
  /** The passkey may be copied to other devices (WebAuthn §6.1.3). */
  readonly backupEligible: boolean;
  readonly backedUp: boolean;
  /** 0 where the authenticator does not count. */
  readonly counter: number;
}

export const MAX_CLIENT_DATA_BYTES = 2048;
export const MAX_SIGNATURE_BYTES = 512;
/** WebAuthn §6.1: hash of the RP id, flags, counter. Nobody asked for extensions, so nothing follows. */
export const AUTHENTICATOR_DATA_BYTES = 37;
const FLAG = { userPresent: 1, userVerified: 4, backupEligible: 8, backedUp: 16 } as const;
const FLAGS_OF_MORE_DATA = 0xc0;

/**
 * WebAuthn §7.2, for what Redoubt's own ceremony asks: user verified, from this very origin, never framed. Whoever has
 * an envelope can run this again.
 *
 * @throws PresenceError `ERR_PRESENCE_ASSERTION`, `ERR_PRESENCE_SIGNATURE`
 */
export function verifyAssertion(
  { credential, ...expected }: ExpectedAssertion,
  assertion: Assertion,
): VerifiedAssertion {
  check(assertion.credentialId === credential.id, "credentialId");
  const said = readChecked(expected, assertion);
  const { clientDataJSON, authenticatorData, signature } = assertion;
  const signed = Buffer.concat([authenticatorData, hash("sha256", clientDataJSON, "buffer")]);
  const { algorithm, key } = credential;
  if (!verify(algorithm === "Ed25519" ? null : "sha256", signed, key, signature))
    throw new PresenceError("ERR_PRESENCE_SIGNATURE", "Assertion is not signed by the credential");
  return said;
}

/**
 * All that can be checked without the key. Whoever collects assertions can tell a person at once that one will not be
 * taken; nothing may rest on it.
 *
 * @throws PresenceError `ERR_PRESENCE_ASSERTION`
 */
export function checkUnverifiedAssertion(
  expected: Omit<ExpectedAssertion, "credential">,
  assertion: Assertion,
): void {
  readChecked(expected, assertion);
}

function readChecked(
  { challenge, rpId, origin }: Omit<ExpectedAssertion, "credential">,
  { credentialId, clientDataJSON, authenticatorData, signature }: Assertion,
): VerifiedAssertion {
  check(signature.length <= MAX_SIGNATURE_BYTES, "signature");
  const client = refuseAs("ERR_PRESENCE_ASSERTION", "Client data", () =>
    // §5.8.1: browsers add members that nobody knows, to keep others from comparing the text.
    parseJsonObject(clientDataJSON, { maxBytes: MAX_CLIENT_DATA_BYTES, maxDepth: 4 }),
  );
  check(client["type"] === "webauthn.get", "type");
  // THREAT-20: over exactly this statement, on the origin that shows it.
  check(client["challenge"] === encodeBase64url(challenge), "challenge");
  check(client["origin"] === origin, "origin");
  check(client["crossOrigin"] === undefined || client["crossOrigin"] === false, "crossOrigin");
  check(!Object.hasOwn(client, "topOrigin"), "topOrigin");
  check(!Object.hasOwn(client, "tokenBinding"), "tokenBinding");
  const data = Buffer.from(authenticatorData);
  check(data.length === AUTHENTICATOR_DATA_BYTES, "authenticatorData");
  check(timingSafeEqual(data.subarray(0, 32), hash("sha256", rpId, "buffer")), "rpIdHash");
  const flags = data.readUInt8(32);
  const [backupEligible, backedUp] = [has(flags, "backupEligible"), has(flags, "backedUp")];
  check((flags & FLAGS_OF_MORE_DATA) === 0, "flags");
  check(has(flags, "userPresent"), "userPresent");
  check(has(flags, "userVerified"), "userVerified");
  check(backupEligible || !backedUp, "backedUp");
  const counter = data.readUInt32BE(33);
  return Object.freeze({ credentialId, userVerified: true, backupEligible, backedUp, counter });
}

function has(flags: number, name: keyof typeof FLAG): boolean {
  return (flags & FLAG[name]) !== 0;
}

function check(holds: boolean, part: string): void {
  if (!holds)
    throw new PresenceError("ERR_PRESENCE_ASSERTION", `Assertion is not as asked: ${part}`, {
      part,
    });
}

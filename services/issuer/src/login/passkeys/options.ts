import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from "@simplewebauthn/server";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { PASSKEY_ALGORITHMS } from "./passkey.ts";

const HANDLE_BYTES = 32;
const CHALLENGE_BYTES = 32;
/** Passkeys offered in a name field wait for minutes, so this is no shorter than the challenge should live. */
const TIMEOUT_MS = 300_000;

export interface RegistrationOptions {
  readonly rp: { readonly id: string; readonly name: string };
  readonly person: {
    /** 32 random bytes that say nothing of the person (WebAuthn §14.6.1). Kept raw. */
    readonly handle: Uint8Array;
    readonly name: string;
    readonly displayName: string;
  };
  /** 32 random bytes, used once. */
  readonly challenge: Uint8Array;
  /** base64url; an authenticator that has one of them refuses to make another. */
  readonly existing: readonly string[];
  /** "direct" only where the policy asks for a model: browsers ask the person for consent. */
  readonly attestation: "none" | "direct";
}

/**
 * Options of `navigator.credentials.create` (WebAuthn §5.4): a discoverable passkey that verifies its user. The
 * algorithms are ours; the library's own list begins with whatever the run-time can do.
 *
 * @throws RangeError for a handle or challenge of another length
 */
export function registrationOptions(
  options: RegistrationOptions,
): PublicKeyCredentialCreationOptionsJSON {
  const { rp, person, challenge, existing, attestation } = options;
  const { handle, name, displayName } = person;
  return {
    rp: { id: rp.id, name: rp.name },
    user: { id: encodeExact(handle, HANDLE_BYTES), name, displayName },
    challenge: encodeExact(challenge, CHALLENGE_BYTES),
    pubKeyCredParams: [...PASSKEY_ALGORITHMS.keys()].map((alg) => ({ alg, type: "public-key" })),
    timeout: TIMEOUT_MS,
    excludeCredentials: existing.map((id) => ({ id, type: "public-key" })),
    authenticatorSelection: {
      residentKey: "required",
      requireResidentKey: true,
      userVerification: "required",
    },
    attestation,
  };
}

/**
 * Options of `navigator.credentials.get` (WebAuthn §5.5). The list of credentials is empty: nobody has said who they
 * are, so the answer cannot tell whether a person exists.
 *
 * @throws RangeError for a challenge of another length
 */
export function authenticationOptions(options: {
  readonly rpId: string;
  /** 32 random bytes, used once. */
  readonly challenge: Uint8Array;
}): PublicKeyCredentialRequestOptionsJSON {
  return {
    rpId: options.rpId,
    challenge: encodeExact(options.challenge, CHALLENGE_BYTES),
    timeout: TIMEOUT_MS,
    allowCredentials: [],
    userVerification: "required",
  };
}

function encodeExact(bytes: Uint8Array, length: number): string {
  if (bytes.length !== length) throw new RangeError(`Expected ${length} bytes`);
  return encodeBase64url(bytes);
}

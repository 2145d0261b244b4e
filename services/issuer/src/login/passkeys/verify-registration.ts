import { verifyRegistrationResponse } from "@simplewebauthn/server";
import { parseAuthenticatorData } from "@simplewebauthn/server/helpers";
import type { Certificate } from "@redoubt/evidence";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { readAttestation, trustOf } from "./attestation.ts";
import { checkAuthenticatorData } from "./authenticator-data.ts";
import { checkClientData } from "./client-data.ts";
import { checkCredentialKey } from "./credential-key.ts";
import type { ModelMetadata } from "./metadata.ts";
import { PASSKEY_ALGORITHMS, type ExpectedAnswer, type Passkey } from "./passkey.ts";
import { orRefuse, orRefuseLater, PasskeyError } from "./passkey-error.ts";
import { checkPasskeyPolicy, type PasskeyPolicy } from "./policy.ts";
import { readRegistration, type UnverifiedRegistration } from "./read-answer.ts";

export interface RegistrationCheck {
  /** RegistrationResponseJSON, as the browser sent it: hostile. */
  readonly response: unknown;
  readonly expected: ExpectedAnswer;
  readonly policy: PasskeyPolicy;
  /** null, said aloud, where there is none: then only the policy's own roots make a chain. */
  readonly metadata: ModelMetadata | null;
  /** Milliseconds since 1970, for certificates. */
  readonly now: number;
}

const ZERO_AAGUID = "00000000-0000-0000-0000-000000000000";

/**
 * Verifies a new passkey (WebAuthn §7.1) and that the policy will have it. The caller spends the challenge first, and
 * refuses a credential id that the store already has.
 *
 * @throws PasskeyError, and nothing else, for whatever the browser sends
 */
export async function verifyRegistration(check: RegistrationCheck): Promise<Passkey> {
  const { expected, policy, metadata, now } = check;
  const answer = readRegistration(check.response);
  checkClientData(answer.clientData, "webauthn.create", expected);
  const attestation = readAttestation(answer.attestationObject);
  const state = checkAuthenticatorData(attestation.authenticatorData, expected.rpId);
  const { id, publicKey, aaguid } = readCredential(attestation.authenticatorData);
  // The library takes the id from what is signed and never looks whether the browser said the same.
  if (id !== answer.id)
    throw new PasskeyError("ERR_PASSKEY_CREDENTIAL", "Registration: another credential is signed");
  const algorithm = checkCredentialKey(publicKey);
  await verifyStatement(answer, expected);
  const trust = trustOf(attestation, { roots: rootsOf(aaguid, policy, metadata), now });
  const passkey: Passkey = Object.freeze({
    credentialId: id,
    publicKey,
    algorithm,
    counter: state.counter,
    trust,
    format: attestation.format,
    aaguid: trust === "chain" ? aaguid : undefined,
    backupEligible: state.backupEligible,
    backedUp: state.backedUp,
    transports: Object.freeze([...answer.transports]),
  });
  checkPasskeyPolicy(passkey, policy, metadata);
  return passkey;
}

/** The library gets a new object, of nothing but what was read; with it go no roots, so it fetches nothing. */
async function verifyStatement(
  { id, clientData, attestationObject }: UnverifiedRegistration,
  { challenge, origin, rpId }: ExpectedAnswer,
): Promise<void> {
  const refusal = "Attestation: does not verify";
  const { verified } = await orRefuseLater("ERR_PASSKEY_ATTESTATION", refusal, async () =>
    verifyRegistrationResponse({
      response: {
        id,
        rawId: id,
        type: "public-key",
        clientExtensionResults: {},
        response: {
          clientDataJSON: encodeBase64url(clientData),
          attestationObject: encodeBase64url(attestationObject),
        },
      },
      expectedChallenge: challenge,
      expectedOrigin: origin,
      expectedRPID: rpId,
      expectedType: "webauthn.create",
      requireUserPresence: true,
      requireUserVerification: true,
      supportedAlgorithmIDs: [...PASSKEY_ALGORITHMS.keys()],
    }),
  );
  if (!verified) throw new PasskeyError("ERR_PASSKEY_ATTESTATION", refusal);
}

interface SignedCredential {
  readonly id: string;
  readonly publicKey: Uint8Array<ArrayBuffer>;
  readonly aaguid: string;
}

function readCredential(authenticatorData: Uint8Array<ArrayBuffer>): SignedCredential {
  return orRefuse("ERR_PASSKEY_FORM", "Authenticator data: malformed", () => {
    const { credentialID, credentialPublicKey, aaguid } = parseAuthenticatorData(authenticatorData);
    if (credentialID === undefined || credentialPublicKey === undefined || aaguid?.length !== 16)
      throw new PasskeyError("ERR_PASSKEY_FORM", "Authenticator data: no credential");
    const hex = Buffer.from(aaguid).toString("hex");
    return {
      id: encodeBase64url(credentialID),
      publicKey: credentialPublicKey,
      aaguid: hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"),
    };
  });
}

function rootsOf(
  aaguid: string,
  policy: PasskeyPolicy,
  metadata: ModelMetadata | null,
): readonly Certificate[] {
  // WebAuthn §6.5.1: zero says that the authenticator keeps its model to itself.
  if (aaguid === ZERO_AAGUID) return [];
  return [...(policy.roots.get(aaguid) ?? []), ...(metadata?.models.get(aaguid)?.roots ?? [])];
}

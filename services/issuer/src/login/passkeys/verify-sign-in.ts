import { timingSafeEqual } from "node:crypto";
import { verifyAuthenticationResponse } from "@simplewebauthn/server";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { checkAuthenticatorData, type AuthenticatorState } from "./authenticator-data.ts";
import { checkClientData } from "./client-data.ts";
import type { ModelMetadata } from "./metadata.ts";
import type { ExpectedAnswer, Passkey } from "./passkey.ts";
import { orRefuseLater, PasskeyError } from "./passkey-error.ts";
import { checkPasskeyPolicy, type PasskeyPolicy } from "./policy.ts";
import { readAssertion, type UnverifiedAssertion } from "./read-answer.ts";

export interface SignInCheck {
  /** AuthenticationResponseJSON, as the browser sent it: hostile. */
  readonly response: unknown;
  readonly expected: ExpectedAnswer;
  /** The stored passkey whose id the answer names. */
  readonly passkey: Passkey;
  /** The 32 bytes of the person to whom the store says that the passkey belongs. */
  readonly personHandle: Uint8Array;
  readonly policy: PasskeyPolicy;
  /** null, said aloud, where there is none. */
  readonly metadata: ModelMetadata | null;
}

/** What to store with the passkey, and what to tell the log. */
export interface SignIn {
  readonly counter: number;
  readonly backedUp: boolean;
  /** A synced passkey did not count on. Its devices count apart, so this is for the log alone. */
  readonly counterStood: boolean;
}

/**
 * Verifies a sign-in with a discoverable passkey (WebAuthn §7.2) and that the policy of now still accepts it. The
 * caller spends the challenge first, and stores the counter only where it has not risen further meanwhile.
 *
 * @throws PasskeyError, and nothing else, for whatever the browser sends
 */
export async function verifySignIn(check: SignInCheck): Promise<SignIn> {
  const { expected, passkey, policy, metadata } = check;
  const answer = readAssertion(check.response);
  if (answer.id !== passkey.credentialId)
    throw new PasskeyError("ERR_PASSKEY_CREDENTIAL", "Sign-in: another credential");
  // The library does not compare it (WebAuthn §7.2 step 6).
  if (!isEqual(answer.userHandle, check.personHandle))
    throw new PasskeyError("ERR_PASSKEY_OWNER", "Sign-in: the passkey names another person");
  checkClientData(answer.clientData, "webauthn.get", expected);
  const state = checkAuthenticatorData(answer.authenticatorData, expected.rpId);
  await verifyAssertion(answer, check);
  // WebAuthn §7.2 step 19: this never changes. A key that was bound to its device would now be a copy.
  if (state.backupEligible !== passkey.backupEligible)
    throw new PasskeyError(
      "ERR_PASSKEY_BACKUP",
      "Sign-in: eligible for backup, or not, unlike before",
    );
  const counterStood = checkCounter(state, passkey.counter);
  checkPasskeyPolicy(passkey, policy, metadata);
  const counter = Math.max(state.counter, passkey.counter);
  return { counter, backedUp: state.backedUp, counterStood };
}

/** Whether a synced passkey's counter did not rise; for others that is a refusal (WebAuthn §6.1.1). */
function checkCounter({ counter, backupEligible }: AuthenticatorState, stored: number): boolean {
  const hasStood = counter <= stored && (counter > 0 || stored > 0);
  if (hasStood && !backupEligible)
    throw new PasskeyError("ERR_PASSKEY_COUNTER", "Sign-in: the counter did not rise");
  return hasStood;
}

async function verifyAssertion(
  { id, clientData, authenticatorData, signature }: UnverifiedAssertion,
  { expected, passkey }: SignInCheck,
): Promise<void> {
  const refusal = "Sign-in: signature does not verify";
  const { verified } = await orRefuseLater("ERR_PASSKEY_SIGNATURE", refusal, async () =>
    verifyAuthenticationResponse({
      response: {
        id,
        rawId: id,
        type: "public-key",
        clientExtensionResults: {},
        response: {
          clientDataJSON: encodeBase64url(clientData),
          authenticatorData: encodeBase64url(authenticatorData),
          signature: encodeBase64url(signature),
        },
      },
      expectedChallenge: expected.challenge,
      expectedOrigin: expected.origin,
      expectedRPID: expected.rpId,
      expectedType: "webauthn.get",
      requireUserVerification: true,
      // Its own rule for the counter refuses synced passkeys; with zero here, ours decides.
      credential: { id, publicKey: new Uint8Array(passkey.publicKey), counter: 0 },
    }),
  );
  if (!verified) throw new PasskeyError("ERR_PASSKEY_SIGNATURE", refusal);
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

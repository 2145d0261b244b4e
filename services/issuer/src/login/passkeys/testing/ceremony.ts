import { createHash } from "node:crypto";
import { parseCertificate, type Certificate } from "@redoubt/evidence";
import {
  AttestationAuthority,
  SOFT_AAGUID,
  SoftAuthenticator,
  type SoftAuthenticatorOptions,
  type SoftOverrides,
  type SoftRegistration,
} from "@redoubt/testkit";
import type { ModelMetadata } from "../metadata.ts";
import { authenticationOptions, registrationOptions } from "../options.ts";
import type { Passkey } from "../passkey.ts";
import type { PasskeyPolicy } from "../policy.ts";
import { verifyRegistration } from "../verify-registration.ts";
import { verifySignIn, type SignIn } from "../verify-sign-in.ts";

export const NOW = Date.UTC(2026, 5, 1);
export const ORIGIN = "https://login.test";
export const RP_ID = "login.test";
export const HANDLE = Buffer.alloc(32, 7);
const CHALLENGE = Buffer.alloc(32, 9);
export const EXPECTED = { challenge: CHALLENGE.toString("base64url"), origin: ORIGIN, rpId: RP_ID };

/** A vendor's root, which the tests trust for `SOFT_AAGUID` where they say so. */
export const VENDOR = new AttestationAuthority();
export const VENDOR_ROOT = certificateOf(VENDOR);

export const OPEN_POLICY: PasskeyPolicy = {
  attestation: "none",
  synced: "allowed",
  allowAaguids: null,
  denyAaguids: [],
  roots: new Map(),
};

export const VENDOR_POLICY: PasskeyPolicy = {
  ...OPEN_POLICY,
  roots: new Map([[SOFT_AAGUID, [VENDOR_ROOT]]]),
};

export function certificateOf({ certificate }: AttestationAuthority): Certificate {
  return parseCertificate(certificate, "root");
}

/** Metadata that reports these statuses of `SOFT_AAGUID`. */
export function metadataWith(...statuses: readonly string[]): ModelMetadata {
  const model = { description: "Test model", statuses, roots: [VENDOR_ROOT] };
  return { number: 1, nextUpdate: NOW, models: new Map([[SOFT_AAGUID, model]]) };
}

export function softKey(options: Partial<SoftAuthenticatorOptions> = {}): SoftAuthenticator {
  return new SoftAuthenticator({ rpId: RP_ID, authority: VENDOR, ...options });
}

interface Circumstances {
  readonly policy?: PasskeyPolicy;
  readonly metadata?: ModelMetadata | null;
  readonly overrides?: SoftOverrides;
}

export function answerOf(key: SoftAuthenticator, overrides: SoftOverrides = {}): SoftRegistration {
  const options = registrationOptions({
    rp: { id: RP_ID, name: "Test" },
    person: { handle: HANDLE, name: "ada", displayName: "Ada" },
    challenge: CHALLENGE,
    existing: [],
    attestation: "direct",
  });
  return key.register(options, { origin: ORIGIN, overrides });
}

export async function check(
  response: unknown,
  { policy = OPEN_POLICY, metadata = null }: Circumstances = {},
): Promise<Passkey> {
  return verifyRegistration({ response, expected: EXPECTED, policy, metadata, now: NOW });
}

export async function register(
  key: SoftAuthenticator,
  circumstances: Circumstances = {},
): Promise<Passkey> {
  return check(answerOf(key, circumstances.overrides), circumstances);
}

export async function signIn(
  key: SoftAuthenticator,
  passkey: Passkey,
  { policy = OPEN_POLICY, metadata = null, overrides = {} }: Circumstances = {},
): Promise<SignIn> {
  const options = authenticationOptions({ rpId: RP_ID, challenge: CHALLENGE });
  const response = key.authenticate(options, { origin: ORIGIN, overrides });
  const personHandle = HANDLE;
  return verifySignIn({ response, expected: EXPECTED, passkey, personHandle, policy, metadata });
}

/** What both ceremonies refuse, one override each. */
export const SHARED_REFUSALS: readonly (readonly [string, SoftOverrides, string])[] = [
  ["challenge", { challenge: Buffer.alloc(32, 8).toString("base64url") }, "ERR_PASSKEY_CHALLENGE"],
  ["empty challenge", { challenge: "" }, "ERR_PASSKEY_CHALLENGE"],
  ["origin", { origin: "https://login.test.evil.test" }, "ERR_PASSKEY_ORIGIN"],
  ["port of the origin", { origin: "https://login.test:8443" }, "ERR_PASSKEY_ORIGIN"],
  ["scheme of the origin", { origin: "http://login.test" }, "ERR_PASSKEY_ORIGIN"],
  ["made-up type", { type: "payment.get" }, "ERR_PASSKEY_TYPE"],
  ["frame without its top", { crossOrigin: true }, "ERR_PASSKEY_CROSS_ORIGIN"],
  [
    "frame with its top",
    { crossOrigin: true, topOrigin: "https://evil.test" },
    "ERR_PASSKEY_CROSS_ORIGIN",
  ],
  ["a top without a frame", { topOrigin: ORIGIN }, "ERR_PASSKEY_CROSS_ORIGIN"],
  [
    "relying party",
    { rpIdHash: createHash("sha256").update("other.test").digest() },
    "ERR_PASSKEY_RP",
  ],
  ["presence", { flags: { UP: false } }, "ERR_PASSKEY_USER_PRESENCE"],
  ["verification", { flags: { UV: false } }, "ERR_PASSKEY_USER_VERIFICATION"],
  ["presence and verification", { flags: { UP: false, UV: false } }, "ERR_PASSKEY_USER_PRESENCE"],
  ["backup that cannot be", { flags: { BE: false, BS: true } }, "ERR_PASSKEY_BACKUP"],
  [
    "credential id",
    { credentialId: Buffer.alloc(32, 1).toString("base64url") },
    "ERR_PASSKEY_CREDENTIAL",
  ],
];

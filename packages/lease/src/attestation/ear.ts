import { hash, verify } from "node:crypto";
import { canonicalBytes, ServiceError } from "@redoubt/base";
import { type Claims, lintPolicy, type Policy } from "@redoubt/evidence";
import type { NoteSigner, VerifierKey } from "@redoubt/tlog";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { type JsonObject, parseJsonObject } from "@redoubt/verify/json";

/** draft-ietf-rats-ear-04 §3. */
const EAR_PROFILE = "tag:ietf.org,2026:rats/ear#04";
/** AR4SI §2.3: trustworthiness claims, and what makes none of them. */
const GENUINE_HARDWARE = 2;
const APPROVED_AT_BOOT = 3;
const NO_CLAIM = 0;
const MAX_BYTES = 131_072;

export interface EarSubject {
  /** POSIX seconds: when it was appraised. */
  readonly issued: number;
  readonly nonce: Uint8Array;
  /** Name of the machine that was appraised: its signer's. */
  readonly signer: string;
  readonly claims: Claims;
  readonly policy: Policy;
  /** The policy's file. */
  readonly policyFile: Uint8Array;
}

/**
 * The broker's appraisal as an attestation result (EAR, as a JWT): for those who take results and no evidence. It says
 * `affirming` only of hardware that a vendor vouches for, under a policy that a production could have.
 *
 * The key is that of the broker's log. What it signs there has line feeds, and a JWT's signing input has none: no text is
 * both.
 */
export function signEar(subject: EarSubject, writer: NoteSigner): string {
  const { issued, nonce, signer, claims, policy, policyFile } = subject;
  const hardware = claims["hardware"] === true ? GENUINE_HARDWARE : NO_CLAIM;
  const executables = lintPolicy(policy).length === 0 ? APPROVED_AT_BOOT : NO_CLAIM;
  const isAffirmed = hardware !== NO_CLAIM && executables !== NO_CLAIM;
  const appraisal = {
    ear_status: isAffirmed ? "affirming" : "none",
    ear_trustworthiness_vector: { hardware, executables },
    ear_appraisal_policy_ids: [policyId(policyFile)],
    ear_attester_claims: claims,
  };
  const input = [
    { alg: "EdDSA", kid: writer.name, typ: "eat+jwt" },
    {
      eat_profile: EAR_PROFILE,
      eat_nonce: encodeBase64url(nonce),
      iat: issued,
      ear_verifier_id: { developer: "Redoubt", build: "broker/1" },
      submods: { [signer]: appraisal },
    },
  ]
    .map((part) => canonicalBytes(part).toString("base64url"))
    .join(".");
  return `${input}.${encodeBase64url(writer.sign(Buffer.from(input)))}`;
}

/** Names a policy by its bytes (RFC 6920 §3). */
function policyId(file: Uint8Array): string {
  return `ni:///sha-256;${hash("sha256", file, "base64url")}`;
}

/**
 * The claims of an attestation result that this broker signed.
 *
 * @throws ServiceError `ERR_ATTESTATION_EAR`
 */
export function openEar(jwt: string, writerKey: VerifierKey): JsonObject {
  try {
    const [header = "", payload = "", signature = "", ...rest] = jwt.split(".");
    const signed = Buffer.from(`${header}.${payload}`);
    const bytes = decodeBase64url(signature, { bytes: 64 });
    if (rest.length > 0 || !verify(null, signed, writerKey.publicKey, bytes))
      throw new RangeError("Signature is wrong");
    const { alg, typ } = parseJsonObject(decodeBase64url(header, { maxBytes: 512 }));
    const claims = parseJsonObject(decodeBase64url(payload, { maxBytes: MAX_BYTES }), {
      maxBytes: MAX_BYTES,
    });
    if (alg !== "EdDSA" || typ !== "eat+jwt" || claims["eat_profile"] !== EAR_PROFILE)
      throw new RangeError("Another kind of token");
    return claims;
  } catch (cause) {
    throw new ServiceError("ERR_ATTESTATION_EAR", "Not an attestation result of this broker", {
      cause,
    });
  }
}

import { hash, type KeyObject } from "node:crypto";
import { canonicalBytes, ServiceError } from "@redoubt/base";
import {
  appraise,
  type AppraisalOptions,
  type Claims,
  checkPolicy,
  EVIDENCE_AUTHORITY,
  joinReferenceSets,
  parseEvidence,
  parsePolicy,
  verifyReferenceValues,
} from "@redoubt/evidence";
import { decodeBase64url } from "@redoubt/verify/base64url";
import { isJsonObject, type JsonObject, parseJsonObject } from "@redoubt/verify/json";
import {
  anyObject,
  BodyCommitments,
  bytes,
  list,
  message,
  text,
  type Message,
  type Values,
} from "@redoubt/wire";
import { type Binding, bindingMessage, boundData, NONCE_BYTES } from "../binding.ts";
import { openEar } from "./ear.ts";
import { type GrantLog, openGrant } from "../grant.ts";
import type { Lease } from "../lease.ts";

/** Characters: of evidence, and of policy and reference values together. */
const MAX_EVIDENCE = 1_048_576;
/** Bytes of a policy and all reference values together, in one grant. */
export const MAX_EXPECTED_BYTES = 262_144;
export const MAX_REFERENCES = 64;
const MAX_EAR = 262_144;
const MAX_LEASE = 2048;
const MAX_GRANT = 65_536;
const MAX_DOCUMENT_BYTES = 4_194_304;

const BODY = {
  binding: anyObject,
  /** The broker's own opinion, as an attestation result. */
  ear: text(MAX_EAR),
  evidence: text(MAX_EVIDENCE),
  lease: text(MAX_LEASE),
  nonce: bytes({ bytes: NONCE_BYTES }),
  /** The policy's file, and the signed files of reference values. */
  policy: text(MAX_EXPECTED_BYTES),
  references: list(text(MAX_EXPECTED_BYTES), MAX_REFERENCES),
};

/** What is kept beside a lease's entry: all that is needed to appraise it again (docs/spec/leases.md §3). */
export type GrantBody = Values<typeof BODY>;

const bodyMessage: Message<GrantBody> = message("grant body", BODY);

export function encodeGrantBody(body: GrantBody): Buffer {
  return canonicalBytes(bodyMessage.write(body));
}

/** @throws ServiceError `ERR_ATTESTATION_FORMAT` */
export function parseGrantBody(encoded: Uint8Array): GrantBody {
  return read(() => bodyMessage.read(parseJsonObject(encoded, { maxBytes: MAX_DOCUMENT_BYTES })));
}

/** What stands beside a key that a signer with a lease uses (docs/spec/leases.md §8). */
export function encodeAttestation(grant: string, body: GrantBody): Buffer {
  return canonicalBytes({ v: 1, grant, body: bodyMessage.write(body) });
}

export interface AttestationTrust {
  /** The broker's log: a lease counts only as an entry of it. */
  readonly log: GrantLog;
  /** What the machine must be: the verifier's own policy, in the grammar of docs/guide/attestation.md. */
  readonly policy: string | Uint8Array;
  /** Whose reference values count. */
  readonly release: { readonly keys: readonly KeyObject[]; readonly threshold: number };
  /** Lowest versions of reference values, by name. */
  readonly floors?: ReadonlyMap<string, number>;
  /** Attestation keys of TPMs that are known (TPM name, hexadecimal): without one no TPM's quote counts. */
  readonly enrolledKeys?: AppraisalOptions["enrolledKeys"];
  readonly minEvaluation?: number;
  readonly roots?: AppraisalOptions["roots"];
}

export interface AttestedKey {
  readonly lease: Lease;
  /** Place in the broker's log. */
  readonly index: number;
  /** What the evidence proved. */
  readonly claims: Claims;
}

export interface Attestation {
  readonly lease: Lease;
  /** Place in the broker's log. */
  readonly index: number;
  readonly binding: Binding;
  readonly body: GrantBody;
}

/**
 * Opens what the broker's log proves of a document: that this evidence was shown, for this lease and these keys. Nothing
 * is appraised yet.
 *
 * @throws ServiceError `ERR_ATTESTATION_FORMAT`, `_EVIDENCE` for evidence that is not the logged one, `_EAR`;
 *   `ERR_LEASE_FORMAT`, `ERR_LEASE_PROOF`
 */
export function openAttestation(document: Uint8Array, log: GrantLog): Attestation {
  const { grant, body, committed } = parseAttestation(document);
  const { lease, index, commitment } = openGrant(grant, log);
  const binding = readBinding(body);
  if (!new BodyCommitments(committed).of(0).equals(commitment))
    throw refusal("ERR_ATTESTATION_EVIDENCE", "This is not what the log holds beside the lease");
  if (!hash("sha256", body.evidence, "buffer").equals(lease.evidence) || !isOf(lease, binding))
    throw refusal("ERR_ATTESTATION_EVIDENCE", "Lease was granted for other evidence");
  const { iat } = openEar(body.ear, log.writerKey);
  if (iat !== lease.issued)
    throw refusal("ERR_ATTESTATION_EAR", "Attestation result is of another time");
  return { lease, index, binding, body };
}

/**
 * Verifies offline that a key is used by a machine which is what the policy asks for: its evidence names the key, was
 * logged, and is appraised here anew, at the time at which it was logged.
 *
 * @throws ServiceError `ERR_ATTESTATION_FORMAT`, `_KEY` for another key's or realm's, `_EVIDENCE` for evidence that is not
 *   the logged one, `_EAR`; `ERR_LEASE_FORMAT`, `ERR_LEASE_PROOF`; EvidenceError for evidence that does not satisfy
 */
export function verifyAttestation(
  document: Uint8Array,
  { kid, realm }: { readonly kid: string; readonly realm: string },
  trust: AttestationTrust,
): AttestedKey {
  const { lease, index, binding, body } = openAttestation(document, trust.log);
  if (lease.realm !== realm || !binding.kids.includes(kid))
    throw refusal("ERR_ATTESTATION_KEY", "Evidence does not name this key of this realm");
  return { lease, index, claims: appraiseAgain(body, binding, lease, trust) };
}

/** What an attestation says of itself. Nothing of it is verified. */
export interface UnverifiedAttestation {
  readonly lease: JsonObject;
  readonly binding: JsonObject;
  /** Claims of the broker's attestation result. */
  readonly ear: JsonObject;
  /** The broker's policy, as its file says. */
  readonly policy: string;
}

/** @throws ServiceError `ERR_ATTESTATION_FORMAT` */
export function unverifiedAttestation(document: Uint8Array): UnverifiedAttestation {
  const { lease, binding, ear, policy } = parseAttestation(document).body;
  const [, payload = ""] = ear.split(".");
  return read(() => ({
    lease: parseJsonObject(lease),
    binding,
    ear: parseJsonObject(decodeBase64url(payload, { maxBytes: MAX_EAR }), { maxBytes: MAX_EAR }),
    policy,
  }));
}

function parseAttestation(document: Uint8Array): {
  readonly grant: string;
  readonly body: GrantBody;
  readonly committed: Buffer;
} {
  return read(() => {
    const { v, grant, body, ...others } = parseJsonObject(document, {
      maxBytes: MAX_DOCUMENT_BYTES,
    });
    if (v !== 1 || !isJsonObject(body) || Object.keys(others).length > 0)
      throw new RangeError("Members v, grant, body");
    return {
      grant: text(MAX_GRANT).read(grant, "grant", "attestation"),
      body: bodyMessage.read(body),
      committed: canonicalBytes(body),
    };
  });
}

function readBinding({ binding }: GrantBody): Binding {
  return read(() => bindingMessage.read(binding));
}

function isOf(lease: Lease, { realm, signer, holderKey }: Binding): boolean {
  return lease.realm === realm && lease.signer === signer && lease.holderKey.equals(holderKey);
}

function appraiseAgain(
  { evidence, nonce, references }: GrantBody,
  binding: Binding,
  { issued }: Lease,
  trust: AttestationTrust,
): Claims {
  const { policy, release, floors, enrolledKeys, minEvaluation, roots } = trust;
  const now = issued * 1000;
  const expected = boundData(nonce, binding);
  const { claims } = appraise(parseEvidence(Buffer.from(evidence)), {
    now,
    expected,
    ...(enrolledKeys && { enrolledKeys }),
    ...(minEvaluation !== undefined && { minEvaluation }),
    ...(roots && { roots }),
  });
  const { keys: releaseKeys, threshold } = release;
  const limits = { releaseKeys, threshold, now, ...(floors && { floors }) };
  const sets = joinReferenceSets(references.map((file) => verifyReferenceValues(file, limits)));
  checkPolicy(parsePolicy(policy, sets), [{ authority: EVIDENCE_AUTHORITY, claims }], { now });
  return claims;
}

function read<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new ServiceError("ERR_ATTESTATION_FORMAT", "Not an attestation of a key", { cause });
  }
}

function refusal(code: string, what: string): ServiceError {
  return new ServiceError(code, what);
}

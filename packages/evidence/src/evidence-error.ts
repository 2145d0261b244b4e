/** Why evidence, a policy or a set of reference values was refused. Stable: callers and dashboards switch on it. */
export type EvidenceErrorCode =
  /** More bytes, elements or levels than any genuine document has. */
  | "ERR_EVIDENCE_SIZE"
  /** The bytes are not what their specification says: cut off, trailing, a reserved field that is set. */
  | "ERR_EVIDENCE_FORMAT"
  /** A version, layout, product or algorithm that this release does not know. */
  | "ERR_EVIDENCE_UNSUPPORTED"
  /** A certificate that may not be used for this: wrong role, extension, key or name. */
  | "ERR_EVIDENCE_CERTIFICATE"
  /** The chain does not lead to a root that is pinned. */
  | "ERR_EVIDENCE_ROOT"
  /** Outside the validity at the time that the caller named. */
  | "ERR_EVIDENCE_TIME"
  | "ERR_EVIDENCE_REVOKED"
  | "ERR_EVIDENCE_SIGNATURE"
  /** A TPM's key that may not be used for this: not restricted, not bound to its TPM, of another kind or scheme. */
  | "ERR_EVIDENCE_KEY"
  /** Two parts that must name each other do not: nonce, key, chip, firmware version, digest of PCRs. */
  | "ERR_EVIDENCE_BINDING"
  /** The quote is over another bank or set of PCRs than the caller demands. */
  | "ERR_EVIDENCE_PCR_SELECTION"
  /** The event log does not lead to the values that the hardware signed. */
  | "ERR_EVIDENCE_REPLAY"
  /** Collateral (TCB info, identities, CRLs) is missing, stale, or about other hardware. */
  | "ERR_EVIDENCE_COLLATERAL"
  /** A policy that cannot be loaded as it stands. */
  | "ERR_EVIDENCE_POLICY"
  /** Reference values that are malformed, not signed by enough release keys, too old, or below their floor. */
  | "ERR_EVIDENCE_REFERENCE"
  /** Verified, but not what the policy asks for; `refusals` says what. */
  | "ERR_EVIDENCE_REFUSED"
  /** The TPM refused a command; `found` has its response code. */
  | "ERR_TPM_RESPONSE"
  /** The TPM cannot be reached, does not answer, or answers what is no response. */
  | "ERR_TPM_TRANSPORT";

/** One claim that a policy refused. Values are escaped and bounded. */
export interface Refusal {
  readonly claim: string;
  readonly found: string;
  readonly expected: string;
  /** What to do about it. */
  readonly hint?: string;
}

export interface EvidenceErrorDetail {
  /** What was looked at, in words of ours: `report.policy`, `certificate.hwid`. */
  readonly part?: string | undefined;
  /** Numbers, digests and names of ours. Text of whoever made the evidence is never quoted. */
  readonly found?: string | number | boolean | undefined;
  readonly expected?: string | number | boolean | undefined;
  readonly cause?: unknown;
  readonly refusals?: readonly Refusal[];
}

/** The one error of this package for bad input and failed checks; `code` says which. */
export class EvidenceError extends Error {
  override readonly name = "EvidenceError";
  readonly code: EvidenceErrorCode;
  readonly part: string | undefined;
  readonly found: string | number | boolean | undefined;
  readonly expected: string | number | boolean | undefined;
  /** Of `ERR_EVIDENCE_REFUSED`: everything that the policy found wanting; empty otherwise. */
  readonly refusals: readonly Refusal[];

  constructor(code: EvidenceErrorCode, problem: string, detail: EvidenceErrorDetail = {}) {
    const { part, found, expected, cause, refusals = [] } = detail;
    const facts = [
      ...(found === undefined ? [] : [`found ${found}`]),
      ...(expected === undefined ? [] : [`expected ${expected}`]),
    ];
    super(
      facts.length === 0 ? problem : `${problem}: ${facts.join(", ")}`,
      cause === undefined ? undefined : { cause },
    );
    this.code = code;
    this.part = part;
    this.found = found;
    this.expected = expected;
    this.refusals = refusals;
  }
}

import { createHash } from "node:crypto";
import { checkBound } from "../check-bound.ts";
import { EvidenceError } from "../evidence-error.ts";
import { TPM_HASHES, type TpmHash } from "./algorithms.ts";
import { checkAttestationKey, type AttestationKey } from "./attestation-key.ts";
import { checkedSelection, type PcrSelection } from "./pcr-selection.ts";
import { parseQuote, type TpmClock } from "./quote.ts";
import { parseSignature, verifySignature, type TpmSignature } from "./signature.ts";

export interface QuoteEvidence {
  /** TPMS_ATTEST. */
  readonly quote: Uint8Array;
  /** TPMT_SIGNATURE, or one that was parsed. */
  readonly signature: Uint8Array | TpmSignature;
  readonly ak: AttestationKey;
  /** Values by index; exactly those that are demanded. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
}

/** What the caller wants to know, never what the evidence offers. */
export interface QuoteDemand {
  readonly selection: PcrSelection;
  /** The nonce, or a digest over it and over what the quote is to be bound to. */
  readonly qualifyingData: Uint8Array;
}

/** A quote whose signature, binding and PCRs have been checked. Who holds the key is for others to say. */
export interface VerifiedQuote extends TpmClock {
  readonly bank: TpmHash;
  readonly pcrs: ReadonlyMap<number, Buffer>;
  readonly qualifiedSigner: Buffer;
  /** Name of the attestation key, to be compared with the one that was enrolled; undefined for a bare key. */
  readonly akName: Buffer | undefined;
}

/**
 * Verifies a TPM 2.0 quote: the key may sign quotes, it signed this one, over the caller's data and exactly the
 * caller's bank and set of PCRs, which have the given values.
 *
 * @throws EvidenceError for evidence that does not hold; RangeError for a demand that makes no sense
 */
export function verifyQuote(evidence: QuoteEvidence, demand: QuoteDemand): VerifiedQuote {
  const selection = checkedSelection(demand.selection);
  // Data that is empty binds nothing: every earlier quote would pass.
  if (demand.qualifyingData.length === 0) throw new RangeError("Qualifying data is empty");
  const signature =
    evidence.signature instanceof Uint8Array
      ? parseSignature(evidence.signature)
      : evidence.signature;
  const ak = checkAttestationKey(evidence.ak, signature);
  verifySignature(evidence.quote, signature, ak.key);

  const { extraData, selections, pcrDigest, ...signed } = parseQuote(evidence.quote);
  checkBound(extraData, demand.qualifyingData, {
    problem: "The quote is over other data",
    part: "quote.extraData",
  });
  checkSelections(selections, selection);
  const pcrs = selectedValues(evidence.pcrs, selection);
  // TPM 2.0 Part 3 §18.4: the digest over the values is made with the hash of the signature, not of the bank.
  const digest = createHash(signature.hash).update(Buffer.concat([...pcrs.values()]));
  checkBound(pcrDigest, digest.digest(), {
    problem: "PCRs have other values",
    part: "quote.pcrDigest",
  });
  return { ...signed, bank: selection.bank, pcrs, akName: ak.name };
}

// THREAT-14: PCR 16 can be reset and extended to the value of any other PCR; what the quote selected decides.
function checkSelections(found: readonly PcrSelection[], demanded: PcrSelection): void {
  if (describe(found) !== describe([demanded]))
    throw new EvidenceError("ERR_EVIDENCE_PCR_SELECTION", "The quote is over other PCRs", {
      part: "quote.pcrSelect",
      found: describe(found),
      expected: describe([demanded]),
    });
}

function describe(selections: readonly PcrSelection[]): string {
  return selections.map(({ bank, indices }) => `${bank}:${indices.join(",")}`).join("+");
}

function selectedValues(
  values: ReadonlyMap<number, Uint8Array>,
  { bank, indices }: PcrSelection,
): Map<number, Buffer> {
  // THREAT-14: a value that no signature covers is not there by mistake.
  if (values.size !== indices.length)
    throw new EvidenceError("ERR_EVIDENCE_PCR_SELECTION", "Values of other PCRs than demanded", {
      part: "pcrs",
      found: values.size,
      expected: indices.length,
    });
  return new Map(indices.map((index) => [index, pcrValue(values.get(index), index, bank)]));
}

function pcrValue(value: Uint8Array | undefined, index: number, bank: TpmHash): Buffer {
  const expected = TPM_HASHES[bank].size;
  if (value?.length !== expected)
    throw new EvidenceError(
      "ERR_EVIDENCE_PCR_SELECTION",
      "Value of a PCR is missing or no digest",
      {
        part: `pcrs[${index}]`,
        found: value?.length ?? 0,
        expected,
      },
    );
  // Firmware may leave a bank alone: its PCR 0 stays at zero, or at the locality of the start (its last byte), and
  // everything in the bank is then up to the software that is to be measured.
  if (index === 0 && value.subarray(0, -1).every((byte) => byte === 0))
    throw new EvidenceError("ERR_EVIDENCE_PCR_SELECTION", "Firmware does not extend PCR 0", {
      part: "pcrs[0]",
      found: bank,
    });
  return Buffer.from(value);
}

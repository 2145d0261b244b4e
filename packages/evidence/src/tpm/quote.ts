import { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";
import { MAX_HASH_BYTES, readSized } from "./algorithms.ts";
import { readSelections, type PcrSelection } from "./pcr-selection.ts";

/** TPM_GENERATED_VALUE: a restricted key signs foreign bytes only if they do not begin with it. */
export const TPM_GENERATED_VALUE = 0xff544347;
export const TPM_ST_ATTEST_QUOTE = 0x8018;

/** What a TPM says about its time, TPM 2.0 Part 2 §10.11.1. */
export interface TpmClock {
  /** Milliseconds that the TPM was powered, over all boots. */
  readonly clock: bigint;
  /** Grows with each start of the platform. Obfuscated when the key is not in the endorsement hierarchy. */
  readonly resetCount: number;
  /** Resumptions since then. */
  readonly restartCount: number;
  /** False: the clock may repeat a value that it has reported before. */
  readonly safe: boolean;
  readonly firmwareVersion: bigint;
}

/** TPMS_ATTEST of a quote, as its maker wrote it; nothing is verified. */
export interface UnverifiedQuote extends TpmClock {
  /** Qualified name of the key that signed, TPM 2.0 Part 1 §26.5. */
  readonly qualifiedSigner: Buffer;
  readonly extraData: Buffer;
  readonly selections: readonly PcrSelection[];
  readonly pcrDigest: Buffer;
}

/**
 * Parses TPMS_ATTEST (TPM 2.0 Part 2 §10.12.8). Only quotes: a certify, creation or time structure that the same key
 * signed is refused.
 *
 * @throws EvidenceError
 */
export function parseQuote(bytes: Uint8Array): UnverifiedQuote {
  const reader = new ByteReader(bytes, "quote");
  // Part 1 §31.2: without it the signature may be over bytes that somebody handed to the key.
  expectNumber(reader.u32be(), TPM_GENERATED_VALUE, "quote.magic");
  expectNumber(reader.u16be(), TPM_ST_ATTEST_QUOTE, "quote.type");
  const quote = {
    qualifiedSigner: readSized(reader, MAX_HASH_BYTES, "quote.qualifiedSigner"),
    extraData: readSized(reader, MAX_HASH_BYTES, "quote.extraData"),
    clock: reader.u64be(),
    resetCount: reader.u32be(),
    restartCount: reader.u32be(),
    safe: readBoolean(reader),
    firmwareVersion: reader.u64be(),
    selections: readSelections(reader, "quote.pcrSelect"),
    pcrDigest: readSized(reader, MAX_HASH_BYTES, "quote.pcrDigest"),
  };
  reader.end();
  return quote;
}

/** TPMI_YES_NO: every value but 0 and 1 is an error. */
function readBoolean(reader: ByteReader): boolean {
  const found = reader.u8();
  if (found > 1)
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", "Not a yes or no", {
      part: "quote.clockInfo.safe",
      found,
    });
  return found === 1;
}

function expectNumber(found: number, expected: number, part: string): void {
  if (found !== expected)
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", "Not a quote of a TPM", {
      part,
      found: `0x${found.toString(16)}`,
      expected: `0x${expected.toString(16)}`,
    });
}

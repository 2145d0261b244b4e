import { decodeBase64, encodeBase64 } from "./base64.ts";
import { openCheckpoint, parseCheckpoint } from "./checkpoint.ts";
import type { OpenedCheckpoint } from "./checkpoint.ts";
import { TlogError } from "./errors.ts";
import { verifyInclusion } from "./inclusion.ts";
import { MAX_NOTE_BYTES, parseNote } from "./note.ts";
import { encodeProofLines, parseProofLines } from "./proof-lines.ts";
import { readText } from "./text.ts";
import { parseTreeSize } from "./tree-size.ts";
import type { VerifierKey } from "./vkey.ts";

/** C2SP tlog-proof: everything that shows offline that an entry is in a log. Nothing in it is verified. */
export interface ProofFile {
  readonly index: number;
  readonly proof: readonly Uint8Array[];
  /** The signed checkpoint, as text. */
  readonly checkpoint: string;
  /** Not covered by any signature. Absent rather than empty. */
  readonly extra?: Uint8Array;
}

export interface VerifiedProof {
  readonly index: number;
  readonly checkpoint: OpenedCheckpoint;
}

const HEADER = "c2sp.org/tlog-proof@v1";
const MAX_PROOF_FILE_BYTES = 2 * MAX_NOTE_BYTES;

/** Throws `ERR_TLOG_PROOF_FILE`, or the error of the checkpoint in it. */
export function encodeProofFile({ index, proof, checkpoint, extra }: ProofFile): string {
  const extraLine = extra === undefined ? "" : `extra ${encodeBase64(extra)}\n`;
  const proofLines = encodeProofLines(proof);
  const text = `${HEADER}\n${extraLine}index ${index}\n${proofLines}\n${checkpoint}`;
  // A mistake is found here, and not first by the reader.
  parseProofFile(text);
  return text;
}

/** Reads a file without verifying it: to rely on a proof, use `verifyProofFile`. Throws as `encodeProofFile`. */
export function parseProofFile(file: string | Uint8Array): ProofFile {
  const text = readText(file, MAX_PROOF_FILE_BYTES, "ERR_TLOG_PROOF_FILE");
  const end = text.indexOf("\n\n");
  if (end === -1) throw malformed("No empty line before the checkpoint");
  const [header, ...lines] = text.slice(0, end).split("\n");
  if (header !== HEADER) throw malformed("First line is not that of a proof file");
  const extra = parseExtra(lines);
  const index = parseIndex(lines.shift());
  const proof = parseProofLines(lines, "ERR_TLOG_PROOF_FILE");
  const checkpoint = text.slice(end + 2);
  parseCheckpoint(parseNote(checkpoint).body);
  return { index, proof, checkpoint, ...(extra === undefined ? {} : { extra }) };
}

/**
 * Verifies that the entry with this leaf hash is in the log, under a checkpoint signed by it. Which cosigners
 * must have signed too is the caller's rule: see `checkpoint.verified`. Throws `ERR_TLOG_PROOF_FILE`, `ERR_TLOG_PROOF`,
 * or as `openCheckpoint`.
 */
export function verifyProofFile(
  file: string | Uint8Array,
  expected: {
    /** Computed by the caller from the entry itself. */
    readonly leafHash: Uint8Array;
    readonly origin: string;
    readonly verifiers: readonly VerifierKey[];
  },
): VerifiedProof {
  const { index, proof, checkpoint: note } = parseProofFile(file);
  const checkpoint = openCheckpoint(note, expected);
  const { size, root } = checkpoint;
  verifyInclusion({ index, size, leafHash: expected.leafHash, root, proof });
  return { index, checkpoint };
}

/** Takes the optional line from the front. */
function parseExtra(lines: string[]): Buffer | undefined {
  const [line] = lines;
  if (!line?.startsWith("extra ")) return undefined;
  lines.shift();
  const extra = decodeBase64(line.slice("extra ".length));
  if (extra === undefined || extra.length === 0) throw malformed("Extra data is not in base64");
  return extra;
}

function parseIndex(line: string | undefined): number {
  const index = line?.startsWith("index ") ? parseTreeSize(line.slice("index ".length)) : undefined;
  if (index === undefined) throw malformed("Index is malformed");
  return index;
}

function malformed(problem: string): TlogError {
  return new TlogError("ERR_TLOG_PROOF_FILE", problem);
}

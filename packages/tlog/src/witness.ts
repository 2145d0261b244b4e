import { parseCheckpoint } from "./checkpoint.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { verifyConsistency } from "./consistency.ts";
import { TlogError } from "./errors.ts";
import { EMPTY_ROOT } from "./hash.ts";
import { MAX_NOTE_BYTES, parseNote } from "./note.ts";
import { encodeProofLines, parseProofLines } from "./proof-lines.ts";
import { parseSignatureLines } from "./signature-line.ts";
import type { NoteSignature } from "./signature-line.ts";
import { readText } from "./text.ts";
import { isTreeSize, parseTreeSize } from "./tree-size.ts";

/** C2SP tlog-witness: what a log sends to `add-checkpoint`. Nothing in it is verified. */
export interface AddCheckpointRequest {
  /** The size of the last checkpoint that the witness cosigned, as far as the log knows; 0 if none. */
  readonly oldSize: number;
  readonly proof: readonly Uint8Array[];
  /** The signed checkpoint, as text. */
  readonly checkpoint: string;
}

export interface UnverifiedAddCheckpoint extends AddCheckpointRequest {
  /** What the checkpoint says: its origin tells which keys to open it with. */
  readonly unverified: Checkpoint;
}

/** C2SP tlog-witness: media type of the answer 409. */
export const WITNESS_SIZE_MEDIA_TYPE = "text/x.tlog.size";

const MAX_REQUEST_BYTES = MAX_NOTE_BYTES + 4096;
const MAX_SIZE_CHARS = 17;

/** Throws `ERR_TLOG_WITNESS`, or the error of the checkpoint in it. */
export function encodeAddCheckpointRequest(request: AddCheckpointRequest): string {
  const { oldSize, proof, checkpoint } = request;
  const text = `old ${oldSize}\n${encodeProofLines(proof)}\n${checkpoint}`;
  // What the witness would answer with 400 is not sent.
  parseAddCheckpointRequest(text);
  return text;
}

/** Reads what anybody may send to a witness. Its errors are the answer 400. */
export function parseAddCheckpointRequest(body: string | Uint8Array): UnverifiedAddCheckpoint {
  const text = readText(body, MAX_REQUEST_BYTES, "ERR_TLOG_WITNESS");
  const end = text.indexOf("\n\n");
  if (end === -1) throw malformed("No empty line before the checkpoint");
  const [first = "", ...lines] = text.slice(0, end).split("\n");
  const oldSize = first.startsWith("old ") ? parseTreeSize(first.slice("old ".length)) : undefined;
  if (oldSize === undefined) throw malformed("Old size is malformed");
  const proof = parseProofLines(lines, "ERR_TLOG_WITNESS");
  const checkpoint = text.slice(end + 2);
  const unverified = parseCheckpoint(parseNote(checkpoint).body);
  // C2SP tlog-witness: the old size is at most that of the checkpoint, or the answer is 400.
  if (oldSize > unverified.size)
    throw malformed("Old size is above the size of the checkpoint", {
      found: oldSize,
      expected: unverified.size,
    });
  return { oldSize, proof, checkpoint, unverified };
}

/**
 * The rule by which a witness goes from the checkpoint it holds to the next. Throws `ERR_TLOG_PROOF`.
 * Unlike RFC 6962 consistency it has a first step: from nothing (size 0, `EMPTY_ROOT`) with an empty proof.
 */
export function verifyGrowth(
  held: Pick<Checkpoint, "size" | "root">,
  next: Pick<Checkpoint, "size" | "root">,
  proof: readonly Uint8Array[],
): void {
  if (held.size > 0) {
    const [size1, root1, size2, root2] = [held.size, held.root, next.size, next.root];
    verifyConsistency({ size1, root1, size2, root2, proof });
    return;
  }
  if (proof.length > 0 || !EMPTY_ROOT.equals(held.root))
    throw new TlogError("ERR_TLOG_PROOF", "First checkpoint needs an empty proof and root");
}

/** The answer 409: the size that the witness holds. */
export function encodeWitnessSize(size: number): string {
  if (!isTreeSize(size)) throw malformed("Size is malformed");
  return `${size}\n`;
}

/** Reads the answer 409 of a witness. It is not signed: at most it makes the log send another proof. */
export function parseWitnessSize(body: string | Uint8Array): number {
  const text = readText(body, MAX_SIZE_CHARS, "ERR_TLOG_WITNESS");
  const size = text.endsWith("\n") ? parseTreeSize(text.slice(0, -1)) : undefined;
  if (size === undefined) throw malformed("Size is malformed");
  return size;
}

/** Reads the answer 200 of a witness: signature lines, to be verified with `verifyCosignature`. */
export function parseWitnessSignatures(body: string | Uint8Array): NoteSignature[] {
  return parseSignatureLines(readText(body, MAX_NOTE_BYTES, "ERR_TLOG_NOTE_MALFORMED"));
}

function malformed(
  problem: string,
  detail: { readonly found?: number; readonly expected?: number } = {},
): TlogError {
  return new TlogError("ERR_TLOG_WITNESS", problem, detail);
}

import { decodeHash, encodeBase64 } from "./base64.ts";
import { TlogError } from "./errors.ts";
import { EMPTY_ROOT, requireHash } from "./hash.ts";
import { MAX_NOTE_BYTES, verifyNote } from "./note.ts";
import type { VerifiedSignature } from "./signature.ts";
import { isLine, readText } from "./text.ts";
import { isTreeSize, parseTreeSize } from "./tree-size.ts";
import { SIGNATURE_TYPE } from "./vkey.ts";
import type { VerifierKey } from "./vkey.ts";

/** What a log says of itself: under this name, at this size, the tree has this root. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
  /** Lines after the root. No monitor can audit what they say: no log's checkpoint has any, only other notes of this form. */
  readonly extensions: readonly string[];
}

export interface OpenedCheckpoint extends Checkpoint {
  /** The text that was signed. */
  readonly body: string;
  /** Who signed it: the log, and those cosigners whose keys were given. */
  readonly verified: readonly VerifiedSignature[];
  /** How many signature lines the note has, those of unknown keys included. */
  readonly signatureCount: number;
}

/** C2SP tlog-checkpoint: the body to be signed. Throws `ERR_TLOG_CHECKPOINT`. */
export function encodeCheckpoint(
  checkpoint: Omit<Checkpoint, "root" | "extensions"> & {
    readonly root: Uint8Array;
    readonly extensions?: readonly string[];
  },
): string {
  const { origin, size, root, extensions = [] } = checkpoint;
  if (![origin, ...extensions].every(isLine)) throw malformed("Line is empty or malformed");
  if (!isTreeSize(size)) throw malformed("Size is malformed");
  requireHash(root, "ERR_TLOG_CHECKPOINT");
  requireEmptyRoot(size, root);
  const body = [origin, size, encodeBase64(root), ...extensions, ""].join("\n");
  return readText(body, MAX_NOTE_BYTES, "ERR_TLOG_CHECKPOINT");
}

/** Reads a body without verifying it: to rely on a checkpoint, use `openCheckpoint`. Throws `ERR_TLOG_CHECKPOINT`. */
export function parseCheckpoint(body: string): Checkpoint {
  const text = readText(body, MAX_NOTE_BYTES, "ERR_TLOG_CHECKPOINT");
  const [origin = "", sizeLine = "", rootLine = "", ...extensions] = text.split("\n");
  if (extensions.pop() !== "") throw malformed("Checkpoint has too few lines or no last newline");
  if (![origin, ...extensions].every(isLine)) throw malformed("Line is empty");
  const size = parseTreeSize(sizeLine);
  if (size === undefined) throw malformed("Size is malformed");
  const root = decodeHash(rootLine);
  if (root === undefined) throw malformed("Root is not a hash in base64");
  requireEmptyRoot(size, root);
  return { origin, size, root, extensions };
}

/**
 * Verifies a signed checkpoint of the log `origin`. `verifiers` are the keys of the log, and those of the
 * cosigners that the caller wants to see in `verified`. Throws `ERR_TLOG_CHECKPOINT`, or as `verifyNote`.
 */
export function openCheckpoint(
  note: string | Uint8Array,
  expected: { readonly origin: string; readonly verifiers: readonly VerifierKey[] },
): OpenedCheckpoint {
  const { body, verified, signatureCount } = verifyNote(note, expected.verifiers);
  // A cosignature is what a witness says about a checkpoint. Without the log's own signature,
  // a witness alone could make checkpoints.
  if (verified.every(({ type }) => type === SIGNATURE_TYPE.cosignature))
    throw new TlogError("ERR_TLOG_NOTE_UNKNOWN_KEY", "Checkpoint is not signed by the log");
  const checkpoint = parseCheckpoint(body);
  // One key may sign for several logs: the root of one must not pass for the root of another.
  if (checkpoint.origin !== expected.origin) throw malformed("Checkpoint is of another log");
  return { ...checkpoint, body, verified, signatureCount };
}

/** RFC 6962 §2.1: a tree without entries has one possible root. */
function requireEmptyRoot(size: number, root: Uint8Array): void {
  if (size === 0 && !EMPTY_ROOT.equals(root)) throw malformed("Root is not that of an empty tree");
}

function malformed(problem: string): TlogError {
  return new TlogError("ERR_TLOG_CHECKPOINT", problem);
}

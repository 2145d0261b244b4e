import { encodeCheckpoint } from "./checkpoint.ts";
import { cosignCheckpoint, verifyCosignature } from "./cosignature.ts";
import type { TreeHead } from "./compact-range.ts";
import { TlogError } from "./errors.ts";
import type { NoteSigner } from "./note-signer.ts";
import type { VerifierKey } from "./vkey.ts";

/** The question to a witness: what it holds of this log now. */
export interface WitnessedQuestion {
  /** Origin of the log. */
  readonly log: string;
  /** One line of the asker's, fresh for each question. */
  readonly nonce: string;
}

/** What a witness says that it holds. */
export interface Witnessed extends TreeHead {
  /** When it said so, by its own clock, in POSIX seconds. */
  readonly timeSeconds: number;
}

/**
 * THREAT-38: a witness's signed answer to the question what it holds of a log now. An old cosignature that somebody kept
 * can be shown as new; this answer cannot, because it holds the asker's nonce. It has the form of a cosigned checkpoint,
 * so that the cosigner's key signs nothing else: the nonce is in the origin, and the one extension line names the log
 * that the answer is about (docs/spec/wire.md §5).
 */
export function cosignWitnessed(
  { log, nonce }: WitnessedQuestion,
  { size, root }: TreeHead,
  by: { readonly signer: NoteSigner; readonly timeSeconds: number },
): string {
  const body = encodeCheckpoint({ origin: originOf(nonce), size, root, extensions: [log] });
  return `${body}\n${cosignCheckpoint(body, by.timeSeconds, by.signer)}`;
}

/** Throws a `TlogError` for anything but this cosigner's answer to this question. */
export function openWitnessed(
  note: string,
  { log, nonce }: WitnessedQuestion,
  cosigner: VerifierKey,
): Witnessed {
  const { checkpoint, timeSeconds } = verifyCosignature(note, cosigner);
  const { origin, size, root, extensions } = checkpoint;
  if (origin !== originOf(nonce) || extensions.length !== 1 || extensions[0] !== log)
    throw new TlogError("ERR_TLOG_COSIGNATURE", "Witness answered another question");
  return { size, root, timeSeconds };
}

function originOf(nonce: string): string {
  return `redoubt/witnessed/${nonce}`;
}

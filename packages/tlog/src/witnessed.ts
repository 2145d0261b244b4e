import { encodeCheckpoint } from "./checkpoint.ts";
import { cosignCheckpoint, verifyCosignature } from "./cosignature.ts";
import type { TreeHead } from "./compact-range.ts";
import { TlogError } from "./errors.ts";
import type { NoteSigner } from "./note-signer.ts";
import type { VerifierKey } from "./vkey.ts";

/** Whose word is wanted, of which log, in answer to which nonce. */
export interface WitnessedQuestion {
  /** Origin of the log. */
  readonly log: string;
  /** One line of the asker's, fresh for each question. */
  readonly nonce: string;
}

/**
 * THREAT-38: what a witness holds of a log now, in answer to a nonce. A cosignature may be an old one that was kept;
 * this cannot. Its form is that of a cosigned checkpoint, so that the cosigner's key signs nothing else: the origin is
 * made of the nonce, and the log that it is about stands in the extension line (docs/spec/wire.md §5).
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
): TreeHead {
  const { checkpoint } = verifyCosignature(note, cosigner);
  const { origin, size, root, extensions } = checkpoint;
  if (origin !== originOf(nonce) || extensions.length !== 1 || extensions[0] !== log)
    throw new TlogError("ERR_TLOG_COSIGNATURE", "Witness answered another question");
  return { size, root };
}

function originOf(nonce: string): string {
  return `redoubt/witnessed/${nonce}`;
}

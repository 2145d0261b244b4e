import { encodeCheckpoint, openCheckpoint, signNote } from "@redoubt/tlog";
import type { LogIdentity } from "./log.ts";

/** How far the audit of a log is. */
export interface AuditMark {
  /** Everything before it was read and found right once, and its tiles are durable. */
  readonly size: number;
  readonly root: Buffer;
  /** How far the present reading from the beginning is; at most `size`. */
  readonly again: number;
  /** When that reading began, in POSIX seconds. */
  readonly begunSeconds: number;
}

/** Longer than one reading takes of a log of some billion entries, at the pace that the audit keeps. */
export const AUDIT_WITHIN_SECONDS: number = 7 * 86_400;
const MAX_DIGITS = /^(?:0|[1-9][0-9]{0,15})$/;

/**
 * The log key signs the mark: otherwise whoever has the database could write one that makes the audit skip what was
 * altered. An older mark that was really signed can still be put back. It hides nothing for longer than
 * `AUDIT_WITHIN_SECONDS`: then it is too old, and the audit begins at the first entry.
 */
export function encodeAuditMark(
  { origin, key }: LogIdentity,
  { size, root, again, begunSeconds }: AuditMark,
): string {
  const extensions = [String(again), String(begunSeconds)];
  return signNote(encodeCheckpoint({ origin: nameOf(origin), size, root, extensions }), [
    key.signer,
  ]);
}

/** @returns undefined for a mark that this log's key did not sign, that is too old, or dated in the future */
export function openAuditMark(
  note: string,
  { origin, key }: LogIdentity,
  nowSeconds: number,
): AuditMark | undefined {
  try {
    const verifiers = [key.verifier];
    const { size, root, extensions } = openCheckpoint(note, { origin: nameOf(origin), verifiers });
    if (extensions.length !== 2 || !extensions.every((line) => MAX_DIGITS.test(line)))
      return undefined;
    const [again = 0, begunSeconds = 0] = extensions.map(Number);
    const age = nowSeconds - begunSeconds;
    if (again > size || age < 0 || age > AUDIT_WITHIN_SECONDS) return undefined;
    return { size, root, again, begunSeconds };
  } catch {
    // Somebody else wrote it: the audit begins at the first entry, as without a mark.
    return undefined;
  }
}

/** No log has this name, because of its spaces: a mark never passes for a checkpoint, nor the reverse. */
function nameOf(origin: string): string {
  return `redoubt audit mark v1 of ${origin}`;
}

import { encodeCheckpoint, openCheckpoint, signNote } from "@redoubt/tlog";
import type { LogIdentity } from "./log.ts";

/** How far the audit of a log is. */
export interface AuditMark {
  /** Everything before it was read and found right once, and its tiles are durable. */
  readonly size: number;
  readonly root: Buffer;
  /** Where the reading from the beginning is that goes on behind it. */
  readonly again: number;
  /** POSIX seconds: when that reading began. */
  readonly begunSeconds: number;
}

/** No reading takes as long, at the pace that it keeps, for a log of some billion entries. */
export const AUDIT_WITHIN_SECONDS: number = 7 * 86_400;
const MAX_DIGITS = /^(?:0|[1-9][0-9]{0,15})$/;

/**
 * Whoever has the database could write any mark and have the audit skip what was altered: so the log key signs it.
 * An older one that was really signed may be put back. It skips nothing for longer than `AUDIT_WITHIN_SECONDS`:
 * then its reading is too old, and all of it begins anew.
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

/** @returns undefined for a mark that is nobody's, another log's, too old, or of a time to come */
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
    // Whoever has the database wrote it: the audit begins at the first entry, as without a mark.
    return undefined;
  }
}

/** No log has this name, because of its spaces: a mark never passes for a checkpoint, nor the reverse. */
function nameOf(origin: string): string {
  return `redoubt audit mark v1 of ${origin}`;
}

import { parseCheckpoint } from "./checkpoint.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { TlogError } from "./errors.ts";
import type { NoteSigner } from "./note-signer.ts";
import { verifyNote } from "./note.ts";
import { encodeSignatureLine } from "./signature-line.ts";
import { cosignatureMessage, encodeTimestamped, isTime } from "./timestamped-signature.ts";
import { SIGNATURE_TYPE } from "./vkey.ts";
import type { VerifierKey } from "./vkey.ts";

export interface Cosignature {
  /** When the cosigner signed, by its own clock, in POSIX seconds. How old is too old is the caller's rule. */
  readonly timeSeconds: number;
  /** What it signed. */
  readonly checkpoint: Checkpoint;
}

/**
 * A cosigner's signature line for a checkpoint (C2SP tlog-cosignature, type 0x04). Call it only for a checkpoint that the
 * log signed and that is proven to continue the last one cosigned: this is what a cosignature says.
 */
export function cosignCheckpoint(body: string, timeSeconds: number, signer: NoteSigner): string {
  parseCheckpoint(body);
  if (!isTime(timeSeconds)) throw new TlogError("ERR_TLOG_COSIGNATURE", "Time is out of bounds");
  const { name, keyId, type } = signer;
  if (type !== SIGNATURE_TYPE.cosignature) throw notCosigner();
  const bare = signer.sign(cosignatureMessage(body, timeSeconds));
  const signature = encodeTimestamped({ timeSeconds, signature: bare });
  return encodeSignatureLine({ name, keyId, signature });
}

/** Verifies that this cosigner signed the checkpoint; says nothing of the log's own signature. */
export function verifyCosignature(note: string | Uint8Array, cosigner: VerifierKey): Cosignature {
  const { body, verified } = verifyNote(note, [cosigner]);
  const [signature] = verified;
  if (signature?.type !== SIGNATURE_TYPE.cosignature) throw notCosigner();
  return { timeSeconds: signature.timeSeconds, checkpoint: parseCheckpoint(body) };
}

/** THREAT-37, ARCHITECTURE §5.3: how far a cosigner's clock may be ahead of one's own. */
export const MAX_AHEAD_SECONDS = 30;

/**
 * Whether a cosignature's time is more than `MAX_AHEAD_SECONDS` after now. Such a cosignature counts for nothing, and
 * must not be kept: it would pass for the newest until its time is reached.
 */
export function isDatedAhead(timeSeconds: number, nowSeconds: number): boolean {
  return timeSeconds > nowSeconds + MAX_AHEAD_SECONDS;
}

function notCosigner(): TlogError {
  return new TlogError("ERR_TLOG_COSIGNATURE", "Key is not of the type that cosigns");
}

import {
  openCheckpoint,
  TlogError,
  verifyGrowth,
  type TreeHead,
  type OpenedCheckpoint,
  type VerifierKey,
} from "@redoubt/tlog";

/** Who must have signed a checkpoint of a log. */
export interface LogKeys {
  readonly origin: string;
  readonly logKey: VerifierKey;
  /** The signer instance that writes the log; the registry log has none. */
  readonly writer?: VerifierKey;
}

/** The log that is known by this origin, as configured or as the registry says. */
export type FindLog = (origin: string) => LogKeys | undefined;

/**
 * What the signatures of a checkpoint prove. `unsigned-batch`: the log signed it, the writer did not: only the
 * ledger can have made it, and its entries are not the signer's (docs/spec/logs.md §3).
 */
export type SignatureVerdict =
  | { readonly kind: "signed"; readonly checkpoint: OpenedCheckpoint }
  | { readonly kind: "unsigned-batch"; readonly checkpoint: OpenedCheckpoint }
  | { readonly kind: "unknown" };

/** Anybody may hand in a note: a bad one is a verdict, never an error. */
export function judgeSignatures(note: string, keys: LogKeys): SignatureVerdict {
  const { origin, logKey, writer } = keys;
  const checkpoint = tryOpen(note, origin, [logKey]);
  if (!checkpoint) return { kind: "unknown" };
  if (!writer) return { kind: "signed", checkpoint };
  const both = tryOpen(note, origin, [logKey, writer]);
  const isWritten = both?.verified.some(
    ({ name, keyId }) => name === writer.name && keyId === writer.keyId,
  );
  return both && isWritten === true
    ? { kind: "signed", checkpoint: both }
    : { kind: "unsigned-batch", checkpoint };
}

function tryOpen(
  note: string,
  origin: string,
  verifiers: readonly VerifierKey[],
): OpenedCheckpoint | undefined {
  return attempt(() => openCheckpoint(note, { origin, verifiers }));
}

/** Whether the proof shows that the log at `held` is a beginning of the log at `next`. */
export function grows(held: TreeHead, next: TreeHead, proof: readonly Uint8Array[]): boolean {
  return attempt(() => (verifyGrowth(held, next, proof), true)) ?? false;
}

/** Undefined for what a stranger sent and that does not verify. */
export function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (error instanceof TlogError) return undefined;
    throw error;
  }
}

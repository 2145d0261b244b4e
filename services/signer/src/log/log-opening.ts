import { ServiceError } from "@redoubt/base";
import {
  CompactRange,
  openCheckpoint,
  verifyConsistency,
  type TreeHead,
  type VerifierKey,
} from "@redoubt/tlog";
import { ask, LEDGER, type Requester } from "@redoubt/wire";

export interface LogSource {
  readonly client: Requester;
  readonly origin: string;
  readonly logKey: VerifierKey;
  readonly writerKey: VerifierKey;
}

/**
 * Where the ledger says that the log stands, once it is proven to be what this writer signed, and to hold every tree
 * that is known of it.
 */
export async function readLogState(
  source: LogSource,
  known: readonly TreeHead[],
): Promise<{ readonly range: CompactRange; readonly cosigned: string }> {
  const { client, origin } = source;
  const { size, hashes, checkpoint, cosigned } = await ask(client, LEDGER.state, { log: origin });
  const range = CompactRange.from(size, hashes);
  if (size > 0) checkBothSigned(source, checkpoint, range);
  // oxlint-disable-next-line no-await-in-loop -- two of them; the first that is not in the log says why
  for (const tree of known) await proveGrowth(source, tree, range);
  return { range, cosigned };
}

// P3: the log key's signature, and our own over exactly this tree.
function checkBothSigned(source: LogSource, note: string, range: CompactRange): void {
  const { origin, logKey, writerKey } = source;
  const opened = openCheckpoint(note, { origin, verifiers: [logKey, writerKey] });
  const names = new Set(opened.verified.map(({ name }) => name));
  const isBoth = names.has(logKey.name) && names.has(writerKey.name);
  if (!isBoth || opened.size !== range.size || !opened.root.equals(range.root()))
    throw refusal("ERR_LOG_CHECKPOINT", "Checkpoint is not of a tree that this writer signed");
}

// THREAT-06, THREAT-07, THREAT-30: a tree shorter than one that was seen is fatal, never a fork.
async function proveGrowth(source: LogSource, known: TreeHead, range: CompactRange): Promise<void> {
  const { size, root } = known;
  if (size === 0) return;
  if (range.size < size)
    throw refusal("ERR_LOG_SHORT", `Log has ${range.size} entries, it had ${size}`);
  const proof = await readConsistency(source, size, range.size);
  try {
    verifyConsistency({ size1: size, root1: root, size2: range.size, root2: range.root(), proof });
  } catch (cause) {
    throw refusal("ERR_LOG_HISTORY", "Log does not contain the tree that was seen", { cause });
  }
}

export async function readConsistency(
  { client, origin }: LogSource,
  size1: number,
  size2: number,
): Promise<readonly Buffer[]> {
  if (size1 === size2) return [];
  return (await ask(client, LEDGER.proveGrowth, { log: origin, size1, size2 })).proof;
}

function refusal(code: string, message: string, options?: ErrorOptions): ServiceError {
  return new ServiceError(code, message, options);
}

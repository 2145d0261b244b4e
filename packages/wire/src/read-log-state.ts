import { ServiceError } from "@redoubt/base";
import {
  CompactRange,
  openCheckpoint,
  TlogError,
  type TreeHead,
  type VerifierKey,
} from "@redoubt/tlog";
import { proveGrowth } from "./prove-growth.ts";
import { LEDGER } from "./protocol/ledger.ts";
import { ask, type Requester } from "./protocol/operation.ts";

export interface LogSource {
  readonly client: Requester;
  readonly origin: string;
  readonly logKey: VerifierKey;
  readonly writerKey: VerifierKey;
}

/**
 * Asks the ledger where the log stands, and checks that this writer signed that tree, and that it continues every tree
 * of the log that is known here.
 *
 * @throws ServiceError `ERR_LOG_CHECKPOINT`, `ERR_LOG_SHORT`, `ERR_LOG_HISTORY`
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
  for (const tree of known) await checkHolds(source, tree, range.head);
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
async function checkHolds(
  { client, origin }: LogSource,
  known: TreeHead,
  head: TreeHead,
): Promise<void> {
  if (known.size === 0) return;
  if (head.size < known.size)
    throw refusal("ERR_LOG_SHORT", `Log has ${head.size} entries, it had ${known.size}`);
  try {
    await proveGrowth(client, origin, known, head);
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
    throw refusal("ERR_LOG_HISTORY", "Log does not contain the tree that was seen", { cause });
  }
}

function refusal(code: string, message: string, options?: ErrorOptions): ServiceError {
  return new ServiceError(code, message, options);
}

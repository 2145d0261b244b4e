import { DatabaseSync } from "node:sqlite";
import type { Operator } from "@redoubt/cli";
import type { ClosedLog, WriterInfo } from "@redoubt/registry";
import { hashLeaf, CompactRange, openCheckpoint, parseEntryBundle } from "@redoubt/tlog";
import { askForBytes, LEDGER } from "@redoubt/wire";
import { splitEntries } from "../../services/ledger/src/entries.ts";
import { Store } from "../../services/ledger/src/store.ts";

const PAGE = 256;

/**
 * Every digest in all issuance logs, read from the ledger and proven against the logs' keys. What the ledger lost of
 * a log that was closed is read from `lostLedgers`, databases that it once had, and proven by what the registry says.
 */
export async function loggedDigests(
  operator: Operator,
  lostLedgers: readonly string[] = [],
): Promise<ReadonlySet<string>> {
  const registry = await operator.readRegistry();
  const digests = new Set<string>();
  for (const [log, writer] of registry.writers) {
    const closed = registry.closedLogs.get(log);
    const proven = closed
      ? await closedDigests(operator, closed, lostLedgers)
      : await openDigests(operator, writer);
    for (const digest of proven) digests.add(digest);
  }
  return digests;
}

class Tree {
  readonly range: CompactRange = CompactRange.empty();
  readonly digests: string[] = [];

  append(entries: readonly Buffer[]): void {
    for (const entry of entries) {
      this.digests.push(Buffer.from(entry.subarray(1, 33)).toString("base64url"));
      this.range.append(hashLeaf(entry));
    }
  }
}

/** Up to `most` entries of what the ledger has; the last answer says what log and writer signed. */
async function readFromLedger(operator: Operator, log: string, most: number) {
  const tree = new Tree();
  for (;;) {
    const from = tree.range.size;
    const max = Math.min(PAGE, most - from);
    const asked = { log, from, max };
    const reply = await askForBytes(operator.client("ledger"), LEDGER.entries, asked);
    const { size, checkpoint } = reply.answer;
    tree.append(parseEntryBundle(reply.attachment));
    const end = tree.range.size;
    if (end >= Math.min(size, most) || end === from) return { tree, checkpoint };
  }
}

async function openDigests(operator: Operator, writer: WriterInfo): Promise<readonly string[]> {
  const { log, logKey, writer: key } = writer;
  const { tree, checkpoint } = await readFromLedger(operator, log, Number.MAX_SAFE_INTEGER);
  const { range, digests } = tree;
  const opened = openCheckpoint(checkpoint, { origin: log, verifiers: [logKey, key] });
  if (opened.size !== range.size || !opened.root.equals(range.root()) || opened.verified.length < 2)
    throw new Error(`${log}: entries are not the tree that log and writer signed`);
  return digests;
}

async function closedDigests(
  operator: Operator,
  { log, size, root }: ClosedLog,
  lostLedgers: readonly string[],
): Promise<readonly string[]> {
  const isWhole = ({ range }: Tree): boolean => range.size === size && range.root().equals(root);
  const { tree } = await readFromLedger(operator, log, size);
  if (isWhole(tree)) return tree.digests;
  const found = lostLedgers.map((path) => readFromCopy(path, log, size)).find(isWhole);
  if (!found) throw new Error(`${log}: nobody has the ${size} entries at which it was closed`);
  return found.digests;
}

function readFromCopy(path: string, log: string, size: number): Tree {
  const tree = new Tree();
  const store = new Store(new DatabaseSync(path));
  try {
    while (tree.range.size < size) {
      const from = tree.range.size;
      const [batch] = store.logRow(log) ? store.batches(log, from, 1) : [];
      if (batch?.first !== from) break;
      tree.append(splitEntries(batch.entries, batch.n, "issuance").slice(0, size - from));
    }
  } finally {
    store.close();
  }
  return tree;
}

import { readRealms, REALMS, type Operator } from "@redoubt/cli";
import { MemberReader } from "@redoubt/base";
import {
  hashLeaf,
  CompactRange,
  openCheckpoint,
  parseEntryBundle,
  parseVerifierKey,
} from "@redoubt/tlog";

/** Every digest in both issuance logs, read from the ledger and proven against the logs' keys. */
export async function loggedDigests(operator: Operator): Promise<ReadonlySet<string>> {
  const realms = readRealms(operator.folder);
  const digests = new Set<string>();
  for (const realm of REALMS) {
    const { log, logKey, writer } = realms[realm];
    for (const digest of await provenDigests(operator, log, [logKey, writer])) digests.add(digest);
  }
  return digests;
}

async function provenDigests(
  operator: Operator,
  log: string,
  keys: readonly string[],
): Promise<string[]> {
  const range = CompactRange.empty();
  const digests: string[] = [];
  for (;;) {
    const from = range.size;
    const reply = await operator.client("ledger").request({ op: "entries", log, from, max: 256 });
    const reader = new MemberReader(reply.head, "entries");
    const size = reader.integer("size", 0, Number.MAX_SAFE_INTEGER);
    for (const entry of parseEntryBundle(reply.attachment)) {
      digests.push(Buffer.from(entry.subarray(1, 33)).toString("base64url"));
      range.append(hashLeaf(entry));
    }
    if (range.size < size && range.size > from) continue;
    const opened = openCheckpoint(reader.string("checkpoint", 65_536), {
      origin: log,
      verifiers: keys.map((key) => parseVerifierKey(key)),
    });
    if (
      opened.size !== range.size ||
      !opened.root.equals(range.root()) ||
      opened.verified.length < 2
    )
      throw new Error(`${log}: entries are not the tree that log and writer signed`);
    return digests;
  }
}

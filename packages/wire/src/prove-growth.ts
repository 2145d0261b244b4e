import { verifyGrowth, type TreeHead } from "@redoubt/tlog";
import { LEDGER } from "./protocol/ledger.ts";
import { ask, type Requester } from "./protocol/operation.ts";

/**
 * Has the ledger prove that the tree `after` begins with the tree `before`.
 *
 * @throws TlogError when it does not; as `ask`
 */
export async function proveGrowth(
  client: Requester,
  log: string,
  before: TreeHead,
  after: TreeHead,
): Promise<void> {
  const sizes = { size1: before.size, size2: after.size };
  const isProven = before.size === 0 || before.size >= after.size;
  const { proof } = isProven
    ? { proof: [] }
    : await ask(client, LEDGER.proveGrowth, { log, ...sizes });
  verifyGrowth(before, after, proof);
}

import { ServiceError } from "@redoubt/base";
import { splitBlobs, type LEDGER, type Asked } from "@redoubt/wire";
import { BUNDLED_ENTRY_BYTES } from "./entries.ts";
import type { SubmittedBatch } from "./issuance-batch.ts";

/** What is attached to a commit, in its parts. The caller controls all of it; only lengths are looked at here. */
export function splitCommit(
  { first, count: n, checkpoint, entriesBytes }: Asked<typeof LEDGER.commit>,
  attachment: Buffer,
): SubmittedBatch {
  if (entriesBytes < BUNDLED_ENTRY_BYTES || entriesBytes > attachment.length)
    throw new ServiceError("ERR_REQUEST_MEMBER", "commit: entriesBytes is not what is attached");
  const blobs = attachment.subarray(entriesBytes);
  // One blob for each tenant of the batch, at most one for each entry (docs/spec/logs.md §1).
  splitBlobs(blobs, n);
  return { first, n, checkpoint, entries: attachment.subarray(0, entriesBytes), blobs };
}

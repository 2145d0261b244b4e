import { registryEntry } from "@redoubt/registry";
import { encodeCheckpoint, signNote } from "@redoubt/tlog";
import { joinStatement, type StatementBodies } from "./bodies.ts";
import type { Stage } from "./draft.ts";
import { bundleEntry } from "./entries.ts";
import { sizeRefusal } from "./errors.ts";
import { grow } from "./tile-builder.ts";

/**
 * One statement as a batch of its own. The ledger computes the digests itself, so that the entry is that of
 * exactly the bytes it keeps. `ifSize` makes the append a compare-and-swap (docs/spec/logs.md §4).
 */
export function stageStatement(
  { statement, envelope, credentials }: StatementBodies,
  ifSize: number | undefined,
): Stage {
  return (draft) => {
    const { origin, identity } = draft.log;
    if (ifSize !== undefined && ifSize !== draft.size) throw sizeRefusal(draft.size);
    const entry = registryEntry(statement, envelope);
    const growth = grow(draft.head.range, [entry]);
    const { range } = growth;
    const body = encodeCheckpoint({ origin, ...range.head });
    const checkpoint = signNote(body, [identity.key.signer]);
    const entries = bundleEntry(entry);
    const blobs = joinStatement({ statement, envelope, credentials });
    return { kind: "new", batch: draft.add(growth, { checkpoint, entries, blobs }) };
  };
}

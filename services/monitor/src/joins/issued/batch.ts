import { HASH_BYTES, ownBytes, type CompactRange } from "@redoubt/tlog";

/**
 * What became of a logged digest; the numbers are those of the tables. `orphaned`: its issuer says why it never
 * received it, so that nobody can hold that token. `unknown`: nobody can say whether it was delivered.
 */
export const DELIVERY = {
  open: 0,
  delivered: 1,
  undelivered: 2,
  orphaned: 3,
  unknown: 4,
} as const;
export type Delivery = (typeof DELIVERY)[keyof typeof DELIVERY];

/** Entries read from a log at one time. */
export interface BatchInput {
  readonly origin: string;
  readonly logId: number;
  readonly realm: string;
  readonly first: number;
  /** 32 bytes each. */
  readonly digests: Buffer;
  /** The log's range after these entries. */
  readonly range: CompactRange;
  /**
   * Whether their delivery is awaited. `none`: it is not. `maybe`: it is, but it may have been reported before this
   * monitor looked.
   */
  readonly awaits: "all" | "maybe" | "none";
  /** Some may be entries of a closed log that were read there (docs/spec/logs.md §3): those are not awaited again. */
  readonly mayRepeat?: boolean;
}

/** Digests that share their log, their time and their fate in the database. */
export interface Batch {
  readonly origin: string;
  readonly realm: string;
  readonly digests: Buffer;
  /** Grows from batch to batch; 0 for those of an earlier run. */
  readonly id: number;
  /** Active time of the reading; −1 for those of an earlier run. */
  readonly readAt: number;
  readonly deadline: number;
  /** Logged before this monitor first looked: if no delivery is reported now, one may have been reported before. */
  readonly isBefore: boolean;
  /** One `Delivery` for each digest. */
  readonly delivery: Uint8Array;
  /** How many of them are `open`. */
  open: number;
  /** Which reporter validated an open digest, by its place in the batch. Forgotten when the digest is settled. */
  readonly usedBy: Map<number, string>;
  /** Where its rows go; undefined once they are written. */
  unwritten:
    | { readonly logId: number; readonly first: number; readonly range: CompactRange }
    | undefined;
  /** It is too old: its settled digests count as never read. */
  isForgotten: boolean;
}

export interface Place {
  readonly batch: Batch;
  readonly offset: number;
}

export function batchOf(
  input: BatchInput,
  times: Pick<Batch, "id" | "readAt" | "deadline">,
): Batch {
  const { origin, realm, logId, first, range, awaits } = input;
  const count = input.digests.length / HASH_BYTES;
  const initial = awaits !== "none" ? DELIVERY.open : DELIVERY.unknown;
  return {
    ...times,
    origin,
    realm,
    digests: input.digests,
    delivery: new Uint8Array(count).fill(initial),
    open: initial === DELIVERY.open ? count : 0,
    isBefore: awaits === "maybe",
    usedBy: new Map(),
    unwritten: { logId, first, range },
    isForgotten: false,
  };
}

export function digestAt({ digests }: Pick<Batch, "digests">, offset: number): Buffer {
  return digests.subarray(offset * HASH_BYTES, (offset + 1) * HASH_BYTES);
}

/** Digests of the batch that have this fate. */
export function digestsWith({ digests, delivery }: Batch, fate: number): Buffer {
  if (delivery.every((one) => one === fate)) return digests;
  const parts: Buffer[] = [];
  for (const [offset, one] of delivery.entries())
    if (one === fate) parts.push(digests.subarray(offset * HASH_BYTES, (offset + 1) * HASH_BYTES));
  return ownBytes(Buffer.concat(parts));
}

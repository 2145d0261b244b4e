import { batchOf, digestAt, keyOf, type Batch, type BatchInput } from "./batch.ts";
import { DELIVERY, type IssuedStore } from "./issued-store.ts";
import type { RunningTime } from "./running-time.ts";

/** Told of each digest as it is read; says whether an issuer of this realm has delivered it before. */
export type EarlyDelivery = (key: string, realm: string, batchId: number) => boolean;

export interface Overdue {
  readonly log: string;
  readonly realm: string;
  /** Active time; −1 when an earlier run read it. */
  readonly readAt: number;
}

export type Verdict = typeof DELIVERY.undelivered | typeof DELIVERY.orphaned;

interface Place {
  readonly batch: Batch;
  readonly offset: number;
}

const DELIVERY_DEADLINE_MS = 45_000;
/** Rows are written when all of a batch is delivered, or after this: most rows are then written once. */
const HOLD_MS = 2000;

/** docs/spec/key-record.md §1: no token lives longer. */
const MAX_LIFETIME_SECONDS = 86_400;
/** The most that a verifier may be told to tolerate of a clock that is off. */
const MAX_TOLERANCE_SECONDS = 300;
/** Reports and deliveries may come this late, after an outage between their sender and this running monitor. */
const MAX_OUTAGE_SECONDS = 7 * 86_400;
/**
 * docs/spec/reports.md §5: a digest that is forgotten would be a miss when it is reported (join 1), and unlogged when
 * its delivery is (join 2). A row is written after its entry was logged, and nothing accepts the token after
 * lifetime and tolerance.
 */
export const KEPT_SECONDS: number =
  MAX_LIFETIME_SECONDS + MAX_TOLERANCE_SECONDS + MAX_OUTAGE_SECONDS;
/** Rows forgotten in one tick: twice a second, this is more than are written. */
const PRUNED_AT_ONCE = 5000;

/**
 * Every digest of every issuance log, with what became of it. The newest are in memory until their rows are final;
 * a crash loses nothing, because `follow` stands before them and they are read again.
 */
export class IssuedJoin {
  readonly #store: IssuedStore;
  readonly #running: Pick<RunningTime, "seconds" | "save">;
  readonly #active: () => number;
  readonly #places = new Map<string, Place>();
  readonly #updates: Buffer[] = [];
  #unwritten: Batch[] = [];
  #awaited: Batch[] = [];
  #onRead: EarlyDelivery = () => false;
  #lastId = 0;
  #writtenThrough = 0;

  constructor(parts: {
    readonly store: IssuedStore;
    readonly running: Pick<RunningTime, "seconds" | "save">;
    readonly active: () => number;
  }) {
    this.#store = parts.store;
    this.#running = parts.running;
    this.#active = parts.active;
    this.#restore();
  }

  /** Digests in memory. */
  get held(): number {
    return this.#places.size;
  }

  /** Rows of all batches up to this id are in the database. */
  get writtenThrough(): number {
    return this.#writtenThrough;
  }

  onRead(listener: EarlyDelivery): void {
    this.#onRead = listener;
  }

  add(input: BatchInput): void {
    this.#lastId += 1;
    const readAt = this.#active();
    const times = { id: this.#lastId, readAt, deadline: readAt + DELIVERY_DEADLINE_MS };
    const batch = batchOf(input, times);
    for (let offset = 0; offset < batch.delivery.length; offset++) this.#take(batch, offset);
    this.#unwritten.push(batch);
    if (batch.open > 0) this.#awaited.push(batch);
  }

  has(digest: Buffer): boolean {
    return this.#places.has(keyOf(digest)) || this.#store.find(digest) !== undefined;
  }

  /**
   * Marks a digest as delivered by an issuer of this realm. A realm never speaks for another: THREAT-28, a taken
   * consumer issuer must not be able to hide what the enterprise signer forged.
   *
   * @returns the id of the batch that must be written before the delivery may be forgotten, 0 when none;
   *   undefined when no such digest was read
   */
  deliver(digest: Buffer, realm: string): number | undefined {
    const key = keyOf(digest);
    const place = this.#places.get(key);
    if (place) return place.batch.realm === realm ? this.#deliverHeld(key, place) : undefined;
    const row = this.#store.find(digest);
    if (row?.realm !== realm) return undefined;
    if (!row.isDelivered) this.#updates.push(digest);
    return 0;
  }

  /** Within a transaction: writes what is final or old enough, in the order of reading. */
  write(): void {
    for (const digest of this.#updates.splice(0)) this.#store.update(digest, DELIVERY.delivered);
    const now = this.#active();
    const isKept = ({ open, readAt }: Batch): boolean => open > 0 && now - readAt < HOLD_MS;
    const kept = this.#unwritten.findIndex(isKept);
    const end = kept === -1 ? this.#unwritten.length : kept;
    for (const batch of this.#unwritten.slice(0, end)) this.#writeBatch(batch);
    this.#unwritten = this.#unwritten.slice(end);
  }

  /** Decides what nobody delivered in time. `judge` is asked for each digest, oldest first. */
  expire(judge: (overdue: Overdue, digest: Buffer) => Verdict): void {
    const now = this.#active();
    const due = this.#awaited.filter(({ open, deadline }) => open > 0 && deadline <= now);
    this.#awaited = this.#awaited.filter(({ open, deadline }) => open > 0 && deadline > now);
    for (const batch of due)
      for (let offset = 0; offset < batch.delivery.length; offset++) {
        if (batch.delivery[offset] !== DELIVERY.open) continue;
        const digest = digestAt(batch, offset);
        const verdict = judge(batch, digest);
        batch.delivery[offset] = verdict;
        batch.open -= 1;
        this.#store.update(digest, verdict);
        this.#places.delete(keyOf(digest));
      }
  }

  /** Within a transaction: forgets what neither join can be asked about any more. */
  prune(): void {
    this.#running.save();
    this.#store.prune(this.#running.seconds - KEPT_SECONDS, PRUNED_AT_ONCE);
  }

  #take(batch: Batch, offset: number): void {
    const key = keyOf(digestAt(batch, offset));
    // The same digest twice: one token, and its first entry is the one that is awaited.
    const isRepeated = this.#places.has(key);
    if (!isRepeated) this.#places.set(key, { batch, offset });
    if (isRepeated || this.#onRead(key, batch.realm, batch.id)) this.#mark(batch, offset);
  }

  #mark(batch: Batch, offset: number): void {
    if (batch.delivery[offset] === DELIVERY.open) batch.open -= 1;
    batch.delivery[offset] = DELIVERY.delivered;
  }

  #deliverHeld(key: string, { batch, offset }: Place): number {
    if (batch.delivery[offset] === DELIVERY.delivered) return batch.unwritten ? batch.id : 0;
    this.#mark(batch, offset);
    if (batch.unwritten) return batch.id;
    this.#updates.push(digestAt(batch, offset));
    this.#places.delete(key);
    return 0;
  }

  #writeBatch(batch: Batch): void {
    if (!batch.unwritten) return;
    const { logId, first, range } = batch.unwritten;
    const at = this.#running.seconds;
    for (const [offset, delivery] of batch.delivery.entries()) {
      const digest = digestAt(batch, offset);
      this.#store.insert(digest, logId, first + offset, at, delivery);
      // What is still open stays in memory until it is delivered or overdue.
      if (delivery !== DELIVERY.open) this.#forget(batch, digest);
    }
    this.#store.saveRange(logId, range);
    batch.unwritten = undefined;
    this.#writtenThrough = batch.id;
  }

  #forget(batch: Batch, digest: Buffer): void {
    const key = keyOf(digest);
    if (this.#places.get(key)?.batch === batch) this.#places.delete(key);
  }

  /** The deadline of what an earlier run read starts anew: each restart would raise alarms otherwise. */
  #restore(): void {
    const byLog = Map.groupBy(this.#store.open(), ({ log }) => log);
    for (const [log, [first, ...rest]] of byLog) {
      if (!first) continue;
      const rows = [first, ...rest];
      const batch: Batch = {
        log,
        realm: first.realm,
        digests: Buffer.concat(rows.map(({ digest }) => digest)),
        id: 0,
        readAt: -1,
        deadline: this.#active() + DELIVERY_DEADLINE_MS,
        delivery: new Uint8Array(rows.length),
        open: rows.length,
        unwritten: undefined,
      };
      for (const [offset, { digest }] of rows.entries())
        this.#places.set(keyOf(digest), { batch, offset });
      this.#awaited.push(batch);
    }
  }
}

import { HASH_BYTES, ownBytes } from "@redoubt/tlog";
import {
  batchOf,
  digestAt,
  type Batch,
  type BatchInput,
  type Place,
  DELIVERY,
  type Delivery,
} from "./batch.ts";
import type { IssuedStore, OpenRow } from "./issued-store.ts";
import { Packs } from "./packs.ts";
import { PlaceTable } from "./place-table.ts";
import type { RunningTime } from "../../run/times.ts";

/** Called for each digest as it is read. Says whether an issuer of its realm has already reported its delivery. */
export type EarlyDelivery = (place: Place) => boolean;

export interface Overdue {
  readonly origin: string;
  readonly realm: string;
  /** Active time; −1 when an earlier run read it. */
  readonly readAt: number;
  /** The reporter that validated it meanwhile. */
  readonly usedBy: string | undefined;
  readonly isBefore: boolean;
}

export type Verdict =
  | typeof DELIVERY.undelivered
  | typeof DELIVERY.orphaned
  | typeof DELIVERY.unknown;

/** `orphaned`: somebody validates a token that nobody can hold. */
export type Sighted =
  | { readonly fate: "missing" }
  | { readonly fate: "logged" | "orphaned"; readonly realm: string };

const DELIVERY_DEADLINE_MS = 45_000;
/**
 * A batch is written when all of it is delivered, or after this time. Most are delivered by then, and their digests
 * need no row each.
 */
const HOLD_MS = 2000;

/** docs/spec/key-record.md §1: no token lives longer. */
const MAX_LIFETIME_SECONDS = 86_400;
/** The most that a verifier may be told to tolerate of a clock that is off. */
const MAX_TOLERANCE_SECONDS = 300;
/** Reports and deliveries may come this late, after an outage between their sender and this running monitor. */
const MAX_OUTAGE_SECONDS = 7 * 86_400;
/**
 * docs/spec/reports.md §5: how long a digest is kept. If a forgotten digest were reported, it would be a miss (join
 * 1); if its delivery were reported, it would look unlogged (join 2). A row is written after its entry was logged,
 * and no verifier accepts the token after its lifetime and the tolerance.
 */
export const KEPT_SECONDS: number =
  MAX_LIFETIME_SECONDS + MAX_TOLERANCE_SECONDS + MAX_OUTAGE_SECONDS;
/** The most digests that one tick forgets. There are two ticks a second, so more are forgotten than are written. */
const PRUNED_AT_ONCE = 5000;
/** So many places may be of digests that are neither awaited nor packed any more, before these are cleared away. */
const MAX_STALE = 65_536;

/**
 * Every digest of every issuance log, with what became of it. The newest are in memory; a crash loses nothing,
 * because `follow` stands before what is not written, and it is read again (design note 0014).
 */
export class IssuedJoin {
  readonly #store: IssuedStore;
  readonly #packs: Packs;
  readonly #running: Pick<RunningTime, "seconds" | "save">;
  readonly #active: () => number;
  readonly #onDelivered: (realm: string, count: number) => void;
  /** Digests that were delivered after their row was written, by their bytes in latin1. */
  readonly #updates = new Map<string, { readonly digest: Buffer; readonly realm: string }>();
  /** Where each digest is that is unwritten, awaited or packed. Some in it are none of these any more. */
  #places = new PlaceTable();
  #clearAt = MAX_STALE;
  #unwritten: Batch[] = [];
  #awaited: Batch[] = [];
  #onRead: EarlyDelivery = () => false;
  #lastId = 0;
  #writtenThrough = 0;
  #prunedAt = -1;

  constructor(parts: {
    readonly store: IssuedStore;
    readonly running: Pick<RunningTime, "seconds" | "save">;
    readonly active: () => number;
    /**
     * Called within the transaction that makes it final: so many more logged tokens of the realm are delivered. Each
     * token is counted once.
     */
    readonly onDelivered?: (realm: string, count: number) => void;
  }) {
    this.#store = parts.store;
    this.#packs = new Packs(parts.store.packed);
    this.#running = parts.running;
    this.#active = parts.active;
    this.#onDelivered = parts.onDelivered ?? (() => undefined);
    this.#restore();
    this.#clearStale();
  }

  /** Digests that are not settled in the database. */
  get held(): number {
    const unwritten = this.#unwritten.reduce((sum, { delivery }) => sum + delivery.length, 0);
    const awaited = this.#awaited.filter((batch) => !batch.unwritten);
    return awaited.reduce((sum, { open }) => sum + open, unwritten);
  }

  /** All batches up to this id are in the database. */
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
    for (let offset = 0; offset < batch.delivery.length; offset++)
      if (input.mayRepeat === true && this.has(digestAt(batch, offset)))
        this.#mark({ batch, offset }, DELIVERY.unknown);
      else this.#take({ batch, offset });
    this.#unwritten.push(batch);
    if (batch.open > 0) this.#awaited.push(batch);
  }

  has(digest: Buffer): boolean {
    return this.realmOf(digest) !== undefined;
  }

  /** The realm in whose log it is; undefined where it is in none. */
  realmOf(digest: Buffer): string | undefined {
    const held = this.#find(digest, 0)?.batch.realm;
    return held ?? this.#store.find(digest)?.realm ?? this.#store.packed.realmOf(digest);
  }

  /**
   * The same for a digest that a reporter validated. If its fate is open, the reporter is remembered until it is
   * settled.
   */
  sighted(digest: Buffer, reporter: string): Sighted {
    const place = this.#find(digest, 0);
    const held = place?.batch.delivery[place.offset] ?? DELIVERY.unknown;
    const row = held === DELIVERY.unknown ? this.#store.find(digest) : undefined;
    if (place && held === DELIVERY.open) place.batch.usedBy.set(place.offset, reporter);
    const realm = row?.realm ?? place?.batch.realm ?? this.#store.packed.realmOf(digest);
    if (realm === undefined) return { fate: "missing" };
    const isOrphan = (row?.delivery ?? held) === DELIVERY.orphaned;
    return { fate: isOrphan ? "orphaned" : "logged", realm };
  }

  /**
   * Marks the digest that begins at `at` as delivered by an issuer of this realm. A realm never speaks for another:
   * THREAT-28, a taken consumer issuer must not be able to hide what the enterprise signer forged.
   *
   * @returns the id of the batch that must be written before the delivery may be forgotten, 0 when none;
   *   undefined when no such digest was read
   */
  deliver(digests: Buffer, realm: string, at = 0): number | undefined {
    const place = this.#find(digests, at);
    if (place) return place.batch.realm === realm ? this.#deliverHeld(place) : undefined;
    const digest = digests.subarray(at, at + HASH_BYTES);
    const row = this.#store.find(digest);
    if (row?.realm !== realm)
      return this.#store.packed.realmOf(digest, realm) === undefined ? undefined : 0;
    if (row.delivery !== DELIVERY.delivered) this.#update(digest, realm);
    return 0;
  }

  /** Within a transaction: writes what is final or old enough, in the order of reading. */
  write(): void {
    for (const { digest, realm } of this.#updates.values()) {
      this.#store.update(digest, DELIVERY.delivered);
      this.#onDelivered(realm, 1);
    }
    this.#updates.clear();
    const now = this.#active();
    const isKept = ({ open, readAt }: Batch): boolean => open > 0 && now - readAt < HOLD_MS;
    const kept = this.#unwritten.findIndex(isKept);
    const end = kept === -1 ? this.#unwritten.length : kept;
    for (const batch of this.#unwritten.slice(0, end)) this.#writeBatch(batch);
    if (end > 0) this.#unwritten = this.#unwritten.slice(end);
    if (this.#packs.shelve() || this.#places.size >= this.#clearAt) this.#clearStale();
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
        const { origin, realm, readAt, isBefore } = batch;
        const usedBy = batch.usedBy.get(offset);
        const verdict = judge({ origin, realm, readAt, usedBy, isBefore }, digest);
        batch.delivery[offset] = verdict;
        batch.open -= 1;
        this.#store.update(digest, verdict);
      }
  }

  /** Within a transaction: forgets what neither join can be asked about any more. */
  prune(): void {
    const { seconds } = this.#running;
    if (seconds === this.#prunedAt) return;
    this.#running.save();
    const before = seconds - KEPT_SECONDS;
    const isRunForgotten = this.#store.packed.prune(before);
    const rows = this.#store.prune(before, PRUNED_AT_ONCE);
    const count = rows + this.#packs.forget(before, PRUNED_AT_ONCE);
    // Where more may be left, the next tick goes on.
    if (count < PRUNED_AT_ONCE && !isRunForgotten) this.#prunedAt = seconds;
  }

  #take(place: Place): void {
    const { batch, offset } = place;
    const before = this.#places.offer(batch, offset);
    // The same digest twice is one token, and its first entry is the one whose delivery is awaited.
    const isRepeated = before !== undefined && isUnsettled(before);
    if (before && !isRepeated) this.#places.set(batch, offset);
    // The second entry gets no fate of its own: it would stay when the first one's changes.
    if (isRepeated) this.#mark(place, DELIVERY.unknown);
    else if (this.#onRead(place)) this.#mark(place);
  }

  /** Where a digest is in memory. Undefined where it is not, or has been forgotten. */
  #find(digests: Buffer, at: number): Place | undefined {
    const place = this.#places.find(digests, at);
    return place?.batch.isForgotten && !isUnsettled(place) ? undefined : place;
  }

  #mark({ batch, offset }: Place, fate: Delivery = DELIVERY.delivered): void {
    if (batch.delivery[offset] === DELIVERY.open) batch.open -= 1;
    batch.delivery[offset] = fate;
    batch.usedBy.delete(offset);
  }

  #deliverHeld(place: Place): number {
    const { batch, offset } = place;
    if (batch.delivery[offset] === DELIVERY.delivered) return batch.unwritten ? batch.id : 0;
    this.#mark(place);
    if (batch.unwritten) return batch.id;
    this.#update(digestAt(batch, offset), batch.realm);
    return 0;
  }

  #update(digest: Buffer, realm: string): void {
    this.#updates.set(digest.toString("latin1"), { digest, realm });
  }

  #writeBatch(batch: Batch): void {
    if (!batch.unwritten) return;
    const { logId, first, range } = batch.unwritten;
    const at = this.#running.seconds;
    this.#packs.write(batch, logId, at);
    let delivered = 0;
    for (const fate of batch.delivery) if (fate === DELIVERY.delivered) delivered += 1;
    if (delivered > 0) this.#onDelivered(batch.realm, delivered);
    // What is still open has a row until it is delivered or overdue, and is found there after a restart.
    if (batch.open > 0)
      for (const [offset, delivery] of batch.delivery.entries())
        if (delivery === DELIVERY.open)
          this.#store.insert(digestAt(batch, offset), logId, first + offset, at, delivery);
    this.#store.saveRange(logId, range);
    batch.unwritten = undefined;
    this.#writtenThrough = batch.id;
  }

  /** Keeps in memory only what is awaited, unwritten or packed; the first of equal ones, as when it was read. */
  #clearStale(): void {
    this.#places = new PlaceTable();
    const awaited = this.#awaited.filter((batch) => !batch.unwritten);
    for (const batch of [...awaited, ...this.#unwritten])
      for (const [offset, delivery] of batch.delivery.entries())
        if (batch.unwritten || delivery === DELIVERY.open) this.#places.offer(batch, offset);
    for (const batch of this.#packs.batches)
      for (let offset = 0; offset < batch.delivery.length; offset++)
        this.#places.offer(batch, offset);
    this.#clearAt = 2 * this.#places.size + MAX_STALE;
  }

  /** The deadline of what an earlier run read starts anew: each restart would raise alarms otherwise. */
  #restore(): void {
    for (const [first, ...rest] of Map.groupBy(this.#store.open(), alike).values()) {
      if (!first) continue;
      const { origin, isBefore } = first;
      const rows = [first, ...rest];
      this.#awaited.push({
        origin,
        realm: first.realm,
        digests: ownBytes(Buffer.concat(rows.map(({ digest }) => digest))),
        id: 0,
        readAt: -1,
        deadline: this.#active() + DELIVERY_DEADLINE_MS,
        delivery: new Uint8Array(rows.length),
        open: rows.length,
        usedBy: new Map(),
        isBefore,
        unwritten: undefined,
        isForgotten: false,
      });
    }
  }
}

function alike({ origin, isBefore }: OpenRow): string {
  return `${isBefore} ${origin}`;
}

/** Neither its fate nor its place in the database is final. */
function isUnsettled({ batch, offset }: Place): boolean {
  return batch.unwritten !== undefined || batch.delivery[offset] === DELIVERY.open;
}

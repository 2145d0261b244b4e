import { nowSeconds, type Clock } from "@redoubt/base";
import { HASH_BYTES } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { MONITOR_EVENT_STATES } from "@redoubt/wire";
import { MAX_ALARM_DIGESTS } from "../../alarms/alarm-store.ts";
import type { Alarms } from "../../alarms/alarms.ts";
import { orphanUsed, type AlarmKind } from "../../alarms/kinds.ts";
import type { AudienceCount, Coverage } from "../coverage/coverage.ts";
import { monitorError } from "../../errors.ts";
import { entriesOrphaned, issuerSession, type MonitorEvents } from "../../events.ts";
import { digestAt, type Place, DELIVERY } from "../issued/batch.ts";
import type { IssuedJoin } from "../issued/issued-join.ts";
import { CallerPlaces, type PlaceLimits } from "./caller-places.ts";
import type { DeliveryStore, Kept } from "./delivery-store.ts";
import type { Gaps } from "./gaps.ts";

/** What an issuer says on its own socket (docs/spec/wire.md §5). */
export interface DeliveryReport {
  readonly caller: string;
  /** The process of this caller, if it has several: each has sessions of its own. */
  readonly sender: string;
  readonly realm: string;
  readonly session: string;
  readonly seq: number;
  /** 32 bytes each. */
  readonly digests: Buffer;
  readonly lost: number;
  readonly forgotten: number;
  /** For whom the tokens are. */
  readonly audiences: readonly AudienceCount[];
  readonly isResumed: boolean;
  readonly isClosing: boolean;
}

export interface Waiting {
  readonly report: DeliveryReport;
  readonly done: PromiseWithResolvers<void>;
}

/** Digests of one report that are not yet final in the database. */
interface Pending extends Kept {
  journalId: number;
  /** Delivered, but not read in any log so far. */
  early: number;
  /** The newest batch that holds one of them. */
  batchId: number;
}

interface Early {
  readonly pending: Pending;
  readonly digest: Buffer;
  readonly since: number;
}

interface Decided {
  readonly count: number;
  /** The first of them. */
  readonly digests: string[];
}

export interface DeliveriesParts {
  readonly store: DeliveryStore;
  readonly gaps: Gaps;
  readonly join: IssuedJoin;
  readonly coverage: Pick<Coverage, "delivered" | "prune">;
  readonly alarms: Alarms;
  readonly clock: Pick<Clock, "now">;
  readonly active: () => number;
  readonly events: MonitorEvents;
  /** Whether what was delivered may be in a log of this realm that cannot be read, or not be believed, now. */
  readonly isHidden: (realm: string) => boolean;
  readonly limits?: PlaceLimits;
}

/** Digests that one event names. */
const MAX_NAMED = 16;
/** Logging precedes signing: a token that was delivered must be found in its log by then. */
const EARLY_DEADLINE_MS = 45_000;
const HIDDEN_DEADLINE_MS = 600_000;

/** Join 2: what was logged must have been delivered (THREAT-28), and what was delivered must have been logged (P3). */
export class Deliveries {
  readonly #parts: DeliveriesParts;
  #inbox: Waiting[] = [];
  readonly #places: CallerPlaces;
  readonly #pending = new Set<Pending>();
  readonly #early = new Map<string, Early>();
  #orphaned = 0;

  constructor(parts: DeliveriesParts) {
    this.#parts = parts;
    this.#places = new CallerPlaces(parts.limits);
    parts.join.onRead((place) => this.#wasDelivered(place));
    for (const { id, ...kept } of parts.store.journal()) this.#match(id, kept);
  }

  /** Entries since the start that no issuer received, and of which one says why. */
  get orphaned(): number {
    return this.#orphaned;
  }

  /** Digests that wait in memory. */
  get waiting(): number {
    return this.#places.waiting;
  }

  /** Resolves when the report is durable. */
  take(report: DeliveryReport): Promise<void> {
    const { caller } = report;
    const places = placesOf(report);
    if (!this.#places.hasRoom(caller, places))
      throw monitorError("ERR_MONITOR_BUSY", "Too many deliveries of this caller wait", {
        fields: { retryAfterSeconds: 1 },
      });
    const done = Promise.withResolvers<void>();
    this.#inbox.push({ report, done });
    this.#places.add(caller, "inbox", places);
    return done.promise;
  }

  /** What came in so far; to be settled after the logs were read, so that their entries are known. */
  collect(): Waiting[] {
    const inbox = this.#inbox;
    this.#inbox = [];
    return inbox;
  }

  /** Within a transaction. `isCurrent`: every log was read after `waiting` was collected. */
  settle(waiting: readonly Waiting[], isCurrent: boolean): void {
    const { join, coverage, gaps, store, active } = this.#parts;
    for (const { report } of waiting) {
      this.#places.add(report.caller, "inbox", -placesOf(report));
      this.#noteSession(report);
      this.#match(0, report);
    }
    if (isCurrent) gaps.close(active());
    join.write();
    this.#journal();
    this.#expire();
    if (isCurrent) this.#expireEarly();
    this.#watchPlaces();
    join.prune();
    coverage.prune();
    for (const sender of new Set(waiting.map(({ report }) => report.sender)))
      store.trimSessions(sender);
  }

  #noteSession(report: DeliveryReport): void {
    const { sender, realm, session, seq, lost, forgotten, audiences, isResumed, isClosing } =
      report;
    const { store, gaps, coverage, alarms, clock, events } = this.#parts;
    const sessions = store.sessions(sender);
    const known = sessions.find((one) => one.session === session);
    const at = nowSeconds(clock);
    if (!known) {
      const left = sessions.filter(({ end }) => end === "open");
      for (const one of left) store.putSession(sender, { ...one, end: "superseded" }, at - 1);
      if (left.length > 0) gaps.stopped(realm, isResumed);
      // A new process in the place of another: alarms about what the process before it ran out of are over.
      for (const kind of MONITOR_EVENT_STATES) alarms.recover("event", `${sender} ${kind}`);
      issuerSession(events, { caller: sender, unclean: left.length > 0 });
    }
    // A report that is sent again must not count again.
    if (!known || seq > known.seq) {
      coverage.delivered(realm, audiences);
      gaps.lost(realm, lost);
      gaps.forgotten(realm, forgotten);
    }
    const end = isClosing ? "closed" : "open";
    store.putSession(sender, { session, seq: Math.max(seq, known?.seq ?? 0), end }, at);
  }

  #match(journalId: number, { caller, realm, digests }: Kept): void {
    const { join, active } = this.#parts;
    const pending: Pending = { journalId, caller, realm, digests, early: 0, batchId: 0 };
    for (let at = 0; at < digests.length; at += HASH_BYTES) {
      const batchId = join.deliver(digests, realm, at);
      if (batchId !== undefined) {
        pending.batchId = Math.max(pending.batchId, batchId);
        continue;
      }
      const digest = digests.subarray(at, at + HASH_BYTES);
      const key = earlyKey(realm, digest);
      if (this.#early.has(key)) continue;
      this.#early.set(key, { pending, digest, since: active() });
      pending.early += 1;
    }
    this.#pending.add(pending);
    this.#places.add(caller, "early", pending.early);
    this.#places.add(caller, "held", placesOf(pending));
  }

  #wasDelivered({ batch, offset }: Place): boolean {
    if (this.#early.size === 0) return false;
    const key = earlyKey(batch.realm, digestAt(batch, offset));
    const found = this.#early.get(key);
    if (!found) return false;
    this.#endEarly(key, found.pending);
    found.pending.batchId = Math.max(found.pending.batchId, batch.id);
    return true;
  }

  #endEarly(key: string, pending: Pending): void {
    this.#early.delete(key);
    pending.early -= 1;
    this.#places.add(pending.caller, "early", -1);
  }

  /** Writes to the journal what is not final yet, and removes from it what is. */
  #journal(): void {
    const { store, join } = this.#parts;
    for (const pending of this.#pending) {
      const isFinal = pending.early === 0 && pending.batchId <= join.writtenThrough;
      if (!isFinal && pending.journalId === 0) pending.journalId = store.append(pending);
      if (!isFinal) continue;
      if (pending.journalId !== 0) store.remove(pending.journalId);
      this.#pending.delete(pending);
      this.#places.add(pending.caller, "held", -placesOf(pending));
    }
  }

  #expire(): void {
    const { join, gaps, alarms, events } = this.#parts;
    const [undelivered, told, quiet] = [new Map(), new Map(), new Map()] as const;
    join.expire(({ origin, realm, readAt, usedBy, isBefore }, digest) => {
      // Nobody can know who holds a token from before the first look, so no gap may say that nobody does.
      const explained = isBefore
        ? { verdict: DELIVERY.unknown, isTold: true }
        : gaps.explains(realm, readAt);
      const { verdict, isTold } = explained ?? { verdict: DELIVERY.undelivered, isTold: true };
      if (verdict === DELIVERY.orphaned && usedBy !== undefined)
        alarms.raise(orphanUsed(digest, usedBy));
      if (verdict === DELIVERY.undelivered) note(undelivered, origin, digest);
      else note(isTold ? told : quiet, origin, digest);
      return verdict;
    });
    this.#raise("undelivered", undelivered);
    this.#raise("orphaned", told);
    // Nobody holds these tokens: nothing to do, unless one of them is used.
    for (const [origin, { count, digests }] of quiet) {
      this.#orphaned += count;
      entriesOrphaned(events, { log: origin, count, digests: digests.slice(0, MAX_NAMED) });
    }
  }

  #raise(kind: AlarmKind, decided: ReadonlyMap<string, Decided>): void {
    for (const [origin, { count, digests }] of decided)
      this.#parts.alarms.raise({ kind, subject: origin, log: origin, digests, detail: {}, count });
  }

  /** THREAT-36: running out is said aloud, and names who ran out. */
  #watchPlaces(): void {
    const { alarms } = this.#parts;
    for (const [caller, state] of this.#places.news())
      if (state === "full")
        alarms.raiseState({ kind: "deliveries-full", subject: caller, detail: { caller } });
      else alarms.recover("deliveries-full", caller);
  }

  #expireEarly(): void {
    const { active, alarms, isHidden } = this.#parts;
    const due = active() - EARLY_DEADLINE_MS;
    for (const [key, { pending, digest, since }] of this.#early) {
      // In the order of arrival: the rest is younger.
      if (since > due) return;
      // Not for long: a ledger that hides entries must not suppress this alarm.
      if (since > active() - HIDDEN_DEADLINE_MS && isHidden(pending.realm)) continue;
      this.#endEarly(key, pending);
      alarms.raise({
        kind: "unlogged-delivery",
        subject: pending.realm,
        digests: [encodeBase64url(digest)],
        detail: { realm: pending.realm },
      });
    }
  }
}

function note(decided: Map<string, Decided>, origin: string, digest: Buffer): void {
  const { count, digests } = decided.get(origin) ?? { count: 0, digests: [] };
  if (count < MAX_ALARM_DIGESTS) digests.push(encodeBase64url(digest));
  decided.set(origin, { count: count + 1, digests });
}

/** A report without digests takes a place too. */
function placesOf({ digests }: Pick<Kept, "digests">): number {
  return 1 + digests.length / HASH_BYTES;
}

/** One byte per character: the cheapest form in which a map takes bytes. */
function earlyKey(realm: string, digest: Buffer): string {
  return `${realm}\n${digest.toString("latin1")}`;
}

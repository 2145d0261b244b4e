import { nowSeconds, type Clock } from "@redoubt/base";
import { alarmUpdated, type MonitorEvents } from "../events.ts";
import type { AlarmStore } from "./alarm-store.ts";
import type { AlarmOutlet } from "./kinds.ts";

/** How the notices of one open alarm follow each other; times are active time. */
interface Pace {
  toldAt: number;
  hitAt: number;
  /** Notices in a row that named no digest. */
  streak: number;
  hasDigests: boolean;
}

/**
 * Hits are gathered for so long. A flood becomes one notice, and a second forgery is told of soon after the first.
 */
const GATHER_MS = 5000;
const MAX_GATHER_MS = 600_000;
/** For hits without digests: what is repeated for ever is told of less and less often, down to this. */
const MAX_REPEAT_MS = 3_600_000;

/**
 * Tells of alarms, and of everything that is new at those that are open (THREAT-31). What is to be told stands in the
 * store before anything is sent, and is offered until the outlet took it: a crash or a full outlet loses nothing.
 */
export class AlarmNotices {
  readonly #store: AlarmStore;
  readonly #outlet: AlarmOutlet;
  readonly #clock: Pick<Clock, "now">;
  readonly #active: () => number;
  readonly #events: MonitorEvents;
  readonly #paces = new Map<number, Pace>();
  readonly #unraised = new Set<number>();
  readonly #updated = new Set<number>();
  /** Closed, and something is left to tell. */
  readonly #ended = new Set<number>();

  constructor(parts: {
    readonly store: AlarmStore;
    readonly outlet: AlarmOutlet;
    readonly clock: Pick<Clock, "now">;
    /** Milliseconds that never go back. */
    readonly active: () => number;
    readonly events: MonitorEvents;
  }) {
    this.#store = parts.store;
    this.#outlet = parts.outlet;
    this.#clock = parts.clock;
    this.#active = parts.active;
    this.#events = parts.events;
    // What the last process did not come to tell is due at once.
    for (const { id, isRaised } of this.#store.pending())
      (isRaised ? this.#updated : this.#unraised).add(id);
  }

  /** A new alarm; offered at once. */
  raised(id: number): void {
    if (!this.#tellRaised(id)) this.#unraised.add(id);
  }

  /** Hits that `store.addFresh` keeps. */
  added(id: number, hasDigests: boolean): void {
    const now = this.#active();
    const pace = this.#paceOf(id);
    if (now - pace.hitAt >= repeatMs(pace)) pace.streak = 0;
    pace.hitAt = now;
    pace.hasDigests ||= hasDigests;
    this.#updated.add(id);
  }

  /**
   * Offers what is due; called once per tick. A notice that finds no room waits, and no later one of its kind
   * overtakes it.
   */
  flush(): void {
    for (const id of this.#unraised) {
      if (!this.#tellRaised(id)) break;
    }
    for (const id of this.#updated)
      if (!this.#unraised.has(id) && this.#isDue(id) && !this.#tellUpdated(id)) break;
  }

  /** Before the alarm is closed. What finds no room then leaves later. */
  finish(id: number): void {
    if (this.#unraised.has(id)) this.#tellRaised(id);
    else if (this.#updated.has(id)) this.#tellUpdated(id);
    if (!this.#unraised.has(id) && !this.#updated.has(id)) this.#paces.delete(id);
    else this.#ended.add(id);
  }

  #isDue(id: number): boolean {
    const pace = this.#paceOf(id);
    const elapsed = this.#active() - pace.toldAt;
    if (elapsed < (pace.hasDigests ? GATHER_MS : repeatMs(pace))) return false;
    // While the receiver is away one alarm must not fill the outbox, nor wait for ever.
    const gatherMs = GATHER_MS * 2 ** this.#outlet.waiting(id);
    return elapsed >= Math.min(gatherMs, MAX_GATHER_MS);
  }

  #tellRaised(id: number): boolean {
    const isTold = this.#store.tell(id, () => {
      const alarm = this.#store.get(id);
      return alarm === undefined || this.#outlet.raised(alarm);
    });
    if (isTold) this.#told(id);
    return isTold;
  }

  #tellUpdated(id: number): boolean {
    const notice = this.#store.untold(id, nowSeconds(this.#clock));
    if (notice && notice.added > 0) {
      if (!this.#store.tell(id, () => this.#outlet.updated(notice))) return false;
      alarmUpdated(this.#events, notice);
    }
    this.#told(id);
    return true;
  }

  #told(id: number): void {
    this.#unraised.delete(id);
    this.#updated.delete(id);
    if (this.#ended.delete(id)) {
      this.#paces.delete(id);
      return;
    }
    const pace = this.#paceOf(id);
    pace.streak = pace.hasDigests ? 0 : pace.streak + 1;
    pace.toldAt = this.#active();
    pace.hasDigests = false;
  }

  #paceOf(id: number): Pace {
    const known = this.#paces.get(id);
    if (known) return known;
    const pace = { toldAt: -Infinity, hitAt: -Infinity, streak: 0, hasDigests: false };
    this.#paces.set(id, pace);
    return pace;
  }
}

function repeatMs({ streak }: Pace): number {
  return Math.min(GATHER_MS * 2 ** Math.max(0, streak - 1), MAX_REPEAT_MS);
}

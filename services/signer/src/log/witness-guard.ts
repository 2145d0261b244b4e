import { ServiceError, type Clock } from "@redoubt/base";
import {
  isDatedAhead,
  MAX_AHEAD_SECONDS,
  openCheckpoint,
  verifyCosignature,
  type TreeHead,
  type VerifierKey,
} from "@redoubt/tlog";
import type { SignerEvents } from "../events.ts";
import type { MonitorReports } from "../run/monitor-reports.ts";

export interface WitnessGuardOptions {
  /** Origin of the log whose cosignatures count. */
  readonly origin: string;
  readonly logKey: VerifierKey;
  readonly witness: VerifierKey;
  readonly maxUnwitnessedSeconds: number;
  readonly clock: Clock;
  /** THREAT-37: told once, until a good cosignature is there again. Both times are in POSIX seconds. */
  readonly onDatedAhead: (cosignedSeconds: number, nowSeconds: number) => void;
}

/** A tree head, and when the witness cosigned it. */
export interface Cosigned extends TreeHead {
  readonly timeSeconds: number;
}

interface Grown {
  readonly size: number;
  /** Monotonic. */
  readonly atMs: number;
}

/**
 * P3: how long ago the witness last vouched for a log. Cosignatures come through the ledger, which is not trusted:
 * each is checked against the pinned witness key here, and by the caller against the roots that it computed.
 * The witness's time is also what this machine's clock is held against.
 */
export class WitnessGuard {
  readonly #options: WitnessGuardOptions;
  #newest: Cosigned | undefined;
  /** POSIX seconds from which the age counts; undefined while there is nothing that a witness could have seen. */
  #sinceSeconds: number | undefined;
  /** How large the log was then. */
  #sinceSize = 0;
  readonly #startedMs: number;
  #isAheadTold = false;
  #ageAtMarkMs = 0;
  #markedMs = 0;
  #isClockAhead = false;
  /** Sizes that no cosignature covers yet, a second apart at least, and when the log reached them (monotonic). */
  readonly #uncovered: Grown[] = [];
  #grown: Grown = { size: 0, atMs: 0 };

  constructor(options: WitnessGuardOptions) {
    this.#options = options;
    this.#startedMs = options.clock.monotonic();
  }

  get newest(): Cosigned | undefined {
    return this.#newest;
  }

  /** To be stored for the next start (POSIX seconds), so that a restart does not make an old cosignature fresh. */
  get sinceSeconds(): number | undefined {
    return this.#sinceSeconds;
  }

  /** The log has this size: there is something to witness. `sinceSeconds`: since when, where an earlier run knew it. */
  begin(size: number, sinceSeconds: number = this.#now()): void {
    this.#noteGrowth(size);
    if (this.#sinceSeconds !== undefined) return;
    this.#sinceSize = size;
    this.#mark(sinceSeconds);
    if (this.#isAhead(sinceSeconds)) this.#tellAhead(sinceSeconds);
  }

  /** @throws TlogError for a note that the log or the witness did not sign */
  open(note: string): Cosigned {
    const { origin, logKey, witness } = this.#options;
    const { size, root } = openCheckpoint(note, { origin, verifiers: [logKey] });
    const { timeSeconds } = verifyCosignature(note, witness);
    return { size, root, timeSeconds };
  }

  /** Takes a cosignature whose root was found to be this log's at that size. */
  accept(cosigned: Cosigned): void {
    const last = this.#newest;
    const { timeSeconds } = cosigned;
    // THREAT-37: one that is dated ahead is not kept: it would stay the newest until that date.
    if (this.#isAhead(timeSeconds)) return this.#tellAhead(timeSeconds);
    if (last && !isNewer(cosigned, last)) return;
    this.#newest = cosigned;
    this.#isAheadTold = false;
    this.#cover(cosigned.size);
    // The signer asks every second, so a new cosignature was made just now: if its date is old, this clock is ahead.
    this.#isClockAhead = last !== undefined && this.#now() - timeSeconds > MAX_AHEAD_SECONDS;
    if (this.#isFresher(cosigned)) this.#mark(timeSeconds);
  }

  /**
   * THREAT-30: a cosignature older than one that an earlier run saw makes nothing fresher. Where the earlier date lies
   * ahead of this clock, either that date was wrong or this clock was set back (THREAT-29). Then a cosignature counts
   * only if it covers all that the log held at the start and is dated after the start. An old one does not: it covers
   * less, or, where the log was quiet, is dated before. And if this clock was set back, a witness whose clock is right
   * dates ahead of it, which counts for nothing.
   */
  #isFresher({ size, timeSeconds }: Cosigned): boolean {
    if (this.#sinceSeconds === undefined || timeSeconds > this.#sinceSeconds) return true;
    if (!this.#isAhead(this.#sinceSeconds) || size < this.#sinceSize) return false;
    return timeSeconds > this.#now() - this.#runSeconds();
  }

  #runSeconds(): number {
    return (this.#options.clock.monotonic() - this.#startedMs) / 1000;
  }

  #isAhead(timeSeconds: number): boolean {
    return isDatedAhead(timeSeconds, this.#now());
  }

  #tellAhead(timeSeconds: number): void {
    if (this.#isAheadTold) return;
    this.#isAheadTold = true;
    this.#options.onDatedAhead(timeSeconds, this.#now());
  }

  /**
   * One size for each second is exact enough for an age of minutes. The list stays short: `check` refuses before it
   * grows long.
   */
  #noteGrowth(size: number): void {
    if (size <= this.#grown.size) return;
    this.#grown = { size, atMs: this.#options.clock.monotonic() };
    const last = this.#uncovered.at(-1);
    if (!last || this.#grown.atMs - last.atMs >= 1000) this.#uncovered.push(this.#grown);
  }

  #cover(size: number): void {
    const left = this.#uncovered.findIndex((grown) => grown.size > size);
    this.#uncovered.splice(0, left === -1 ? this.#uncovered.length : left);
    if (left === -1 && this.#grown.size > size) this.#uncovered.push(this.#grown);
  }

  /** @throws ServiceError `ERR_SIGNER_UNWITNESSED`, `ERR_SIGNER_CLOCK` */
  check(): void {
    if (this.#sinceSeconds === undefined) return;
    const { clock } = this.#options;
    const maxMs = this.#options.maxUnwitnessedSeconds * 1000;
    const byClockMs = clock.now() - this.#sinceSeconds * 1000;
    const elapsedMs = this.#ageAtMarkMs + clock.monotonic() - this.#markedMs;
    if (this.#isClockAhead || this.#isAhead(this.#sinceSeconds)) throw wrongClock();
    // THREAT-29: turning the clock back must not make a cosignature younger, so both ages count.
    if (elapsedMs > maxMs) throw unwitnessed(elapsedMs);
    // P3: a ledger could have an old, smaller tree cosigned again and again, and hide what came after it.
    const [oldest] = this.#uncovered;
    const unseenMs = oldest ? clock.monotonic() - oldest.atMs : 0;
    if (unseenMs > maxMs) throw unwitnessed(unseenMs);
    if (byClockMs > maxMs) throw wrongClock();
  }

  #mark(sinceSeconds: number): void {
    this.#sinceSeconds = sinceSeconds;
    this.#ageAtMarkMs = Math.max(0, this.#options.clock.now() - sinceSeconds * 1000);
    this.#markedMs = this.#options.clock.monotonic();
  }

  #now(): number {
    return this.#options.clock.now() / 1000;
  }
}

/**
 * THREAT-37: a date ahead is an event here, and is reported to the monitor. The monitor may be the witness that lies,
 * and drop the report: the event stays.
 */
export function witnessAlarm(
  origin: string,
  { events, reports }: { readonly events: SignerEvents; readonly reports: MonitorReports },
): (cosignedSeconds: number, nowSeconds: number) => void {
  return (cosignedSeconds, nowSeconds) => {
    const now = Math.floor(nowSeconds);
    events.cosignatureAhead(origin, cosignedSeconds, now);
    reports.event(
      "cosignature-ahead",
      `${origin}: dated ${cosignedSeconds}, this clock is at ${now}`,
    );
  };
}

function unwitnessed(ageMs: number): ServiceError {
  const message = `No cosignature for ${Math.round(ageMs / 1000)} s`;
  return new ServiceError("ERR_SIGNER_UNWITNESSED", message, { fields: { retryAfterSeconds: 5 } });
}

function wrongClock(): ServiceError {
  const message = "This clock is not the witness's";
  return new ServiceError("ERR_SIGNER_CLOCK", message, { fields: { retryAfterSeconds: 60 } });
}

function isNewer(a: Cosigned, b: Cosigned): boolean {
  return a.timeSeconds > b.timeSeconds || (a.timeSeconds === b.timeSeconds && a.size > b.size);
}

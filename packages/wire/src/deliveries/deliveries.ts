import { randomBytes } from "node:crypto";
import { errorCode } from "@redoubt/base";
import { MONITOR, MONITOR_LIMITS } from "../protocol/monitor.ts";
import { ask, type Asked, type Requester } from "../protocol/operation.ts";
import type { DeliveryJournal } from "./delivery-journal.ts";
import type { DeliveryEvents } from "./events.ts";

export interface DeliveryLimits {
  /** A digest waits this long at most before it is sent. */
  readonly intervalMs: number;
  readonly batch: number;
  /** Digests kept while the monitor does not answer. */
  readonly queue: number;
  readonly retryMs: number;
  /** How long a clean stop waits for the last acknowledgement. */
  readonly closeMs: number;
}

export interface DeliveryOptions {
  readonly client: Requester;
  readonly events: DeliveryEvents;
  readonly journal: DeliveryJournal;
  /** Which of several processes of one name this is, from 1 on; default: 1. */
  readonly replica?: number;
  readonly limits?: Partial<DeliveryLimits>;
}

type Report = Asked<typeof MONITOR.delivered>;
type AudienceCount = NonNullable<Report["audiences"]>[number];

/** A token that came; an earlier process's journal does not say for whom it was. */
interface Delivered {
  readonly digest: string;
  readonly audience?: string;
}

interface Word {
  readonly event: Asked<typeof MONITOR.event>;
  isUnsaid?: boolean;
}

const DEFAULT_LIMITS: DeliveryLimits = {
  intervalMs: 500,
  batch: MONITOR_LIMITS.digests,
  queue: 131_072,
  retryMs: 500,
  closeMs: 2000,
};

/**
 * Tells the monitor which tokens this process received (THREAT-28; docs/spec/wire.md §5): what is logged and in
 * nobody's report was forged by the signer. A report is sent again, unchanged, until it is acknowledged.
 */
export class Deliveries implements AsyncDisposable {
  readonly #client: DeliveryOptions["client"];
  readonly #events: DeliveryEvents;
  readonly #limits: DeliveryLimits;
  /** What the monitor tells this process's sessions from those of another by. */
  readonly #replica: { readonly replica?: number };
  readonly #session = randomBytes(16).toString("base64url");
  readonly #journal: DeliveryJournal;
  /** The newest event of each kind that the monitor has not acknowledged. */
  readonly #words = new Map<string, Word>();
  #queue: Delivered[];
  #lost = 0;
  /** How many were received when the queue was full: nobody can say which they were. */
  #forgotten = 0;
  #seq = 0;
  #report: Report | undefined;
  #isSending = false;
  #isFailing = false;
  #isFull = false;
  #isClosing = false;
  #timer: NodeJS.Timeout | undefined;
  #settled: (() => void) | undefined;

  constructor({ client, events, journal, replica = 1, limits }: DeliveryOptions) {
    this.#replica = replica > 1 ? { replica } : {};
    this.#journal = journal;
    this.#queue = journal.found.map((digest) => ({ digest }));
    this.#client = client;
    this.#events = events;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    // An empty report announces the session, so that the end of the one before is known at once.
    this.#schedule(0);
  }

  counts(): { readonly waiting: number; readonly lost: number; readonly failing: boolean } {
    const waiting = this.#queue.length + (this.#report?.digests.length ?? 0);
    const { lost = 0, forgotten = 0 } = this.#report ?? {};
    const unknown = this.#lost + this.#forgotten + lost + forgotten;
    return { waiting, lost: unknown, failing: this.#isFailing };
  }

  /** Without an audience, the token counts for its realm only. */
  add(digest: string, audience?: string): void {
    if (this.#queue.length >= this.#limits.queue) return this.#overflow();
    this.#journal.add(digest);
    this.#queue.push({ digest, ...(audience !== undefined && { audience }) });
    if (this.#isSending || this.#report) return;
    if (this.#queue.length >= this.#limits.batch) void this.#send();
    else this.#schedule(this.#limits.intervalMs);
  }

  /** Tokens that may have been signed and logged without reaching us. */
  lost(count: number): void {
    if (count === 0) return;
    this.#lost += count;
    this.#events.lost(count);
    this.#schedule(this.#limits.intervalMs);
  }

  /** Said aloud, and counted: the monitor will miss these digests, which is an alarm of its own. */
  #overflow(): void {
    this.#forgotten += 1;
    if (this.#isFull) return;
    this.#isFull = true;
    this.#events.queueFull(this.#limits.queue);
    this.tell("delivery-queue-full", String(this.#limits.queue));
  }

  /**
   * Sends an `event` (docs/spec/wire.md §5): the monitor raises an alarm, or ends it where `isOver`. The newest of a
   * kind is sent until the monitor has it: a lost end would leave an alarm open for ever.
   */
  tell(kind: string, detail: string, isOver = false): void {
    const word = { event: { kind, ...this.#replica, detail, over: isOver } };
    this.#words.set(kind, word);
    void this.#say(kind, word);
  }

  async #say(kind: string, word: Word): Promise<void> {
    word.isUnsaid = false;
    try {
      await ask(this.#client, MONITOR.event, word.event);
      if (this.#words.get(kind) === word) this.#words.delete(kind);
    } catch (error) {
      word.isUnsaid = true;
      this.#events.reportFailed(errorCode(error));
      // The acknowledgement of the next report says that the monitor is back: then this is sent again.
      if (!this.#isClosing) this.#schedule(this.#limits.retryMs);
    }
  }

  #schedule(delayMs: number): void {
    if (this.#timer !== undefined || this.#isSending) return;
    this.#timer = setTimeout(() => void this.#send(), delayMs).unref();
  }

  async #send(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#isSending) return;
    this.#isSending = true;
    const report = (this.#report ??= this.#nextReport());
    try {
      const { seq } = await ask(this.#client, MONITOR.delivered, report);
      if (seq === report.seq) this.#acknowledged();
      else this.#failed("ERR_WIRE_ACKNOWLEDGEMENT");
    } catch (error) {
      this.#failed(errorCode(error));
    }
    this.#isSending = false;
    this.#goOn();
  }

  #nextReport(): Report {
    const delivered = this.#queue.splice(0, this.#limits.batch);
    const audiences = countAudiences(delivered);
    const lost = Math.min(this.#lost, MONITOR_LIMITS.lost);
    const forgotten = Math.min(this.#forgotten, MONITOR_LIMITS.lost);
    this.#seq += 1;
    this.#lost -= lost;
    this.#forgotten -= forgotten;
    const isAll = this.#queue.length + this.#lost + this.#forgotten === 0;
    const isLast = this.#isClosing && isAll;
    return {
      session: this.#session,
      ...this.#replica,
      seq: this.#seq,
      digests: delivered.map(({ digest }) => digest),
      ...(audiences.length > 0 && { audiences }),
      ...(lost > 0 && { lost }),
      ...(forgotten > 0 && { forgotten }),
      resumed: this.#seq === 1 && this.#journal.isComplete,
      closing: isLast,
    };
  }

  #acknowledged(): void {
    if (this.#isFailing) this.#events.reportsBack();
    this.#isFailing = false;
    if (this.#isFull) this.tell("delivery-queue-full", String(this.#limits.queue), true);
    this.#isFull = false;
    for (const [kind, word] of this.#words) if (word.isUnsaid) void this.#say(kind, word);
    const isLast = this.#report?.closing === true;
    this.#report = undefined;
    if (!isLast) return this.#journal.acknowledged(() => this.#queue.map(({ digest }) => digest));
    this.#journal.finished();
    this.#settled?.();
  }

  #failed(code: string): void {
    if (!this.#isFailing) this.#events.reportFailed(code);
    this.#isFailing = true;
  }

  #goOn(): void {
    if (this.#report) return this.#schedule(this.#limits.retryMs);
    if (this.#isClosing || this.#queue.length >= this.#limits.batch) return this.#schedule(0);
    if (this.#queue.length + this.#lost + this.#forgotten > 0)
      this.#schedule(this.#limits.intervalMs);
  }

  /** A clean stop is announced, so that the monitor need not take the gap for a crash. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    const settled = new Promise<void>((resolve) => {
      this.#settled = resolve;
    });
    const deadline = setTimeout(() => this.#settled?.(), this.#limits.closeMs);
    void this.#send();
    await settled;
    clearTimeout(deadline);
    clearTimeout(this.#timer);
    // Nothing is sent after this, whatever still comes back.
    this.#isSending = true;
    const { waiting, lost } = this.counts();
    if (waiting + lost > 0) this.#events.unreported(waiting, lost);
  }
}

/** The monitor counts coverage by audience. What one report has no room to name counts for the realm only. */
function countAudiences(delivered: readonly Delivered[]): readonly AudienceCount[] {
  const counts = new Map<string, number>();
  for (const { audience } of delivered) {
    if (audience === undefined) continue;
    const known = counts.get(audience) ?? 0;
    if (known > 0 || counts.size < MONITOR_LIMITS.audiences) counts.set(audience, known + 1);
  }
  return [...counts].map(([audience, count]) => ({ audience, count }));
}

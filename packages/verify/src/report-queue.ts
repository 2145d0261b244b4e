import { randomBytes } from "node:crypto";
import { scheduleUnref } from "./bounded-fetch.ts";
import { BatchSize, isContentRefusal } from "./batch-size.ts";
import { EvidenceSender } from "./evidence-sender.ts";
import { ExpiringMap } from "./expiring-map.ts";
import { ReportClient } from "./report-client.ts";
import type { Sighting } from "./report-evidence.ts";
import { ReportCounts, type Decision } from "./report-counts.ts";
import { REPORT_LIMITS } from "./report-limits.ts";
import type { ReportAlarm, ReportQueueOptions } from "./report-options.ts";
import { integerOption, refuseUnknownMembers } from "./option-reader.ts";
import {
  sealReport,
  type Acknowledged,
  type ReportItem,
  type SealedReport,
  type SetAside,
} from "./report-message.ts";

/** Where a verifier says which tokens it saw. */
export interface ReportSink {
  add(sighting: Sighting): void;
  /** Told of each decision, for the counts (docs/spec/reports.md §7). */
  count?(decision: Decision): void;
}

/** Numbers of items since the queue was made, but for `pending`. */
export interface ReportQueueStatus {
  /** Items that wait for an acknowledgement now. */
  readonly pending: number;
  readonly acknowledged: number;
  /** Items that were never kept: the queue was full or closed. */
  readonly dropped: number;
  /** Items and evidence that the monitor cannot take. */
  readonly refused: number;
  /** Attempts to send a report that were not acknowledged. */
  readonly failures: number;
  /** Milliseconds since the epoch. */
  readonly lastAcknowledgedAt: number | null;
  /** What the last acknowledgement said: seconds since the monitor had read every log to its end. */
  readonly auditAgeSeconds: number | null;
}

/** Reports to a monitor; see docs/spec/reports.md. */
export interface ReportQueue extends ReportSink {
  /** Sends what waits, now; resolves when it is acknowledged or an attempt failed. Never rejects. */
  flush(): Promise<void>;
  status(): ReportQueueStatus;
  /** Tries once more to send what waits, says goodbye to the monitor with it, then stops. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

// Leaves room for the frame.
const MAX_ITEM_BYTES = REPORT_LIMITS.bodyBytes - 1024;
const MAX_NAMED = 16;
const MAX_INTERVAL_MS = 5000;
// P4: the monitor has 60 s from the end of an outage to notice a forged token, so this queue must come back well
// before.
const MAX_BACKOFF_MS = 20_000;
const HEARTBEAT_MS = 60_000;
// P4: a token that the monitor takes while it does not read the logs is not noticed within the minute.
const BLIND_SECONDS = 30;
const STALE_MS = 900_000;
const DEFAULT_MAX_ITEMS = 100_000;
const DEFAULT_LIFE_SECONDS = 3600;
const DEFAULT_EVIDENCE_BYTES = 64 * 1024 * 1024;
const MAX_EVIDENCE_BYTES = 4 * 1024 * 1024 * 1024;
const NAMES = [
  "url",
  "reporter",
  "secret",
  "ackKey",
  "onAlarm",
  "now",
  "fetch",
  "intervalMs",
  "maxItems",
  "maxEvidenceBytes",
  "schedule",
  "random",
] satisfies (keyof ReportQueueOptions)[];

/**
 * Makes the queue that reports every distinct token that a verifier accepts to the monitor (P4). An item is forgotten
 * only after a signed
 * acknowledgement; what cannot be kept or sent is an alarm, never silence.
 *
 * @throws TypeError for an address that is neither https nor loopback, a wrong key or a value out of range
 * @example
 * const reporter = createReportQueue({
 *   url: "https://monitor.example", reporter: "orders-1", secret, ackKey, onAlarm: (alarm) => log(alarm),
 * });
 */
export function createReportQueue(options: ReportQueueOptions): ReportQueue {
  return new HttpReportQueue(options);
}

class HttpReportQueue implements ReportQueue {
  readonly #options: ReportQueueOptions;
  readonly #now: () => number;
  readonly #intervalMs: number;
  readonly #maxItems: number;
  readonly #session = randomBytes(16).toString("base64url");
  readonly #client: ReportClient;
  readonly #pending = new Map<string, ReportItem>();
  readonly #seen: ExpiringMap<true>;
  readonly #evidence: EvidenceSender;
  readonly #counts = new ReportCounts();
  readonly #size = new BatchSize(REPORT_LIMITS.reportItems);
  readonly #raised = new Set<ReportAlarm["kind"]>();
  #unacknowledged: SealedReport | undefined;
  /** An item that was refused when it was sent alone. If an empty report is then acknowledged, the item is at fault. */
  #suspect: { readonly digest: string; readonly status: number } | undefined;
  #seq = 0;
  #acknowledged = 0;
  #dropped = 0;
  #refused = 0;
  #failures = 0;
  #failuresInRow = 0;
  #lastAcknowledgedAt: number | null = null;
  #auditAgeSeconds: number | null = null;
  #quietSince: number;
  #running: Promise<void> | undefined;
  #cancelTimer: () => void = () => undefined;
  #isClosed = false;
  /** Acknowledged, or refused, so that it is not sent again. */
  #isGoodbyeDone = false;

  constructor(options: ReportQueueOptions) {
    refuseUnknownMembers(options, NAMES, "createReportQueue");
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#intervalMs = integerOption(
      "intervalMs",
      options.intervalMs ?? MAX_INTERVAL_MS,
      1,
      MAX_INTERVAL_MS,
    );
    this.#maxItems = integerOption(
      "maxItems",
      options.maxItems ?? DEFAULT_MAX_ITEMS,
      1,
      10_000_000,
    );
    this.#client = new ReportClient(options, this.#session);
    this.#seen = new ExpiringMap(this.#maxItems);
    this.#evidence = new EvidenceSender({
      max: this.#maxItems,
      maxBytes: integerOption(
        "maxEvidenceBytes",
        options.maxEvidenceBytes ?? DEFAULT_EVIDENCE_BYTES,
        1,
        MAX_EVIDENCE_BYTES,
      ),
      client: this.#client,
      onSetAside: (what) => {
        this.#setAside(what);
      },
    });
    this.#quietSince = this.#now();
    this.#plan();
  }

  add(sighting: Sighting): void {
    const nowMs = this.#now();
    const { digest, kid, audience, issuedAt } = sighting;
    const waiting = this.#pending.get(digest);
    if (waiting !== undefined) waiting.count += 1;
    if (waiting !== undefined || this.#seen.get(digest, nowMs) === true) return;
    if (this.#isClosed || this.#pending.size >= this.#maxItems) {
      this.#dropped += 1;
      this.#raise({
        kind: this.#isClosed ? "reportLost" : "reportQueueFull",
        items: this.#dropped,
      });
      return;
    }
    const nowSeconds = Math.floor(nowMs / 1000);
    const expiresAt = sighting.expiresAt ?? nowSeconds + DEFAULT_LIFE_SECONDS;
    const aud = audience !== undefined && isShort(audience) ? { aud: audience } : {};
    const iat = issuedAt === undefined ? {} : { iat: Math.floor(issuedAt) };
    this.#pending.set(digest, { digest, kid, at: nowSeconds, count: 1, ...aud, ...iat });
    this.#seen.set(digest, true, { expiresAt: expiresAt * 1000 }, nowMs);
    this.#evidence.store.keep(sighting, nowMs);
  }

  count(decision: Decision): void {
    this.#counts.add(decision, this.#now);
  }

  flush(): Promise<void> {
    this.#running ??= this.#sendAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  status(): ReportQueueStatus {
    return {
      pending: this.#pending.size,
      acknowledged: this.#acknowledged,
      dropped: this.#dropped,
      refused: this.#refused,
      failures: this.#failures,
      lastAcknowledgedAt: this.#lastAcknowledgedAt,
      auditAgeSeconds: this.#auditAgeSeconds,
    };
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelTimer();
    await this.flush();
    // `flush` joined a round that was under way, which may already have sent its last report.
    if (this.#failuresInRow === 0 && this.#hasWork()) await this.flush();
    this.#client.close();
    if (this.#pending.size > 0) this.#raise({ kind: "reportLost", items: this.#pending.size });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #plan(): void {
    if (this.#isClosed) return;
    const { schedule = scheduleUnref, random = Math.random } = this.#options;
    const backoff = this.#intervalMs * 2 ** Math.min(this.#failuresInRow, 8);
    const limit = Math.max(this.#intervalMs, MAX_BACKOFF_MS);
    // Jitter, or every verifier of a fleet comes back in the same second.
    const delayMs =
      Math.min(Math.max(backoff, this.#client.retryAfterMs), limit) * (0.8 + 0.2 * random());
    this.#cancelTimer = schedule(() => {
      void this.flush().finally(() => {
        this.#plan();
      });
    }, delayMs);
  }

  async #sendAll(): Promise<void> {
    let isGoing = true;
    while (isGoing && this.#hasWork()) isGoing = await this.#sendReport();
    if (isGoing) await this.#evidence.send(this.#now);
    if (this.#now() - (this.#lastAcknowledgedAt ?? this.#quietSince) >= STALE_MS)
      this.#raise({ kind: "reportStale", items: this.#pending.size });
  }

  // An empty report is a sign of life: without it nobody could tell a quiet verifier from a muted one.
  #hasWork(): boolean {
    if (this.#unacknowledged !== undefined || this.#pending.size > 0) return true;
    if (this.#counts.isDue(this.#now(), this.#isClosed)) return true;
    // Of a queue that was never acknowledged the monitor expects nothing.
    if (this.#isClosed) return !this.#isGoodbyeDone && this.#lastAcknowledgedAt !== null;
    return this.#now() - (this.#lastAcknowledgedAt ?? Number.NEGATIVE_INFINITY) >= HEARTBEAT_MS;
  }

  /**
   * True if there may be more to send at once. A report goes out with the same bytes until it is acknowledged or
   * refused.
   */
  async #sendReport(): Promise<boolean> {
    this.#unacknowledged ??= this.#sealNext();
    const report = this.#unacknowledged;
    const outcome = await this.#client.send(report);
    if (outcome.kind === "acknowledged") return this.#settle(report, outcome);
    this.#failures += 1;
    this.#failuresInRow += 1;
    if (outcome.kind === "invalid")
      this.#raise({ kind: "reportAckInvalid", items: this.#pending.size });
    if (outcome.kind !== "refused") return false;
    // 409: the monitor has another report under this `seq`, and stored nothing of this one. The next has a new `seq`.
    if (outcome.status === 409) {
      this.#unacknowledged = undefined;
      if (report.counts) this.#counts.putBack(report.counts);
    }
    if (isContentRefusal(outcome.status) && this.#split(report, outcome.status)) return true;
    this.#raise({ kind: "reportRefused", items: this.#pending.size, status: outcome.status });
    return false;
  }

  #settle(report: SealedReport, acknowledged: Acknowledged): true {
    const { refused, evidenceWanted, auditAgeSeconds } = acknowledged;
    for (const { digest } of report.items) this.#pending.delete(digest);
    this.#unacknowledged = undefined;
    if (report.isClosing) this.#isGoodbyeDone = true;
    this.#acknowledged += report.items.length - refused.length;
    this.#failuresInRow = 0;
    this.#lastAcknowledgedAt = this.#now();
    this.#raised.clear();
    this.#size.taken();
    this.#evidence.store.want(evidenceWanted);
    if (refused.length > 0) this.#setAside({ digests: refused });
    this.#convict();
    this.#noteAudit(auditAgeSeconds);
    return true;
  }

  #noteAudit(seconds: number): void {
    const wasBlind = (this.#auditAgeSeconds ?? 0) >= BLIND_SECONDS;
    this.#auditAgeSeconds = seconds;
    if (seconds >= BLIND_SECONDS && !wasBlind)
      this.#raise({ kind: "auditBlind", items: this.#pending.size, seconds });
  }

  /** Halves what is sent until the item at fault is alone. False when the monitor refuses whatever it is. */
  #split({ items, isClosing, counts }: SealedReport, status: number): boolean {
    const [first] = items;
    this.#unacknowledged = undefined;
    this.#suspect = undefined;
    // A report with counts has no items; the counts are dropped.
    if (counts) {
      this.#raise({ kind: "reportRefused", items: this.#pending.size, status });
      return true;
    }
    if (isClosing) this.#isGoodbyeDone = true;
    if (first === undefined) return false;
    // The goodbye may be at fault, and no item is to be set aside for it: the same ones again, without it.
    if (isClosing) return true;
    this.#size.refused(items.length);
    if (items.length === 1) this.#suspect = { digest: first.digest, status };
    return true;
  }

  /** Called after an acknowledgement: an item that was refused alone before it is at fault, and is set aside. */
  #convict(): void {
    if (this.#suspect === undefined) return;
    const { digest, status } = this.#suspect;
    this.#suspect = undefined;
    this.#pending.delete(digest);
    this.#setAside({ digests: [digest], status });
  }

  #setAside({ digests, status }: SetAside): void {
    this.#refused += digests.length;
    this.#raise({
      kind: "reportItemRefused",
      items: this.#refused,
      digests: digests.slice(0, MAX_NAMED),
      ...(status !== undefined && { status }),
    });
  }

  #sealNext(): SealedReport {
    this.#seq += 1;
    const isCounting =
      this.#suspect === undefined && this.#counts.isDue(this.#now(), this.#isClosed);
    const counts = isCounting ? this.#counts.take() : undefined;
    const items = this.#suspect === undefined && counts === undefined ? this.#next() : [];
    const isLast = this.#isClosed && !isCounting && items.length === this.#pending.size;
    const isClosing = isLast && !this.#isGoodbyeDone;
    return sealReport(this.#session, this.#seq, { items, isClosing, counts });
  }

  /**
   * At least one item, if any waits: one that is too large is then refused alone and set aside, and does not wait for
   * ever.
   */
  #next(): readonly ReportItem[] {
    const items: ReportItem[] = [];
    let bytes = 0;
    for (const item of this.#pending.values()) {
      bytes += Buffer.byteLength(JSON.stringify(item)) + 1;
      if (items.length > 0 && (items.length >= this.#size.items || bytes > MAX_ITEM_BYTES)) break;
      items.push(item);
    }
    return items;
  }

  /** Raises each kind once, until the next acknowledgement. */
  #raise(alarm: ReportAlarm): void {
    if (this.#raised.has(alarm.kind)) return;
    this.#raised.add(alarm.kind);
    try {
      this.#options.onAlarm(alarm);
    } catch {
      // A fault of the listener must neither refuse a token nor stop a report.
    }
  }
}

function isShort(audience: string): boolean {
  return audience.length > 0 && audience.length <= REPORT_LIMITS.audienceChars;
}

import { hash, type KeyObject } from "node:crypto";
import { errorCode, nowSeconds, type Clock } from "@redoubt/base";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { Alarms } from "../../alarms/alarms.ts";
import { orphanUsed } from "../../alarms/kinds.ts";
import { reportRefused, type MonitorEvents } from "../../events.ts";
import type { IssuedJoin } from "../issued/issued-join.ts";
import type { Database } from "../../store/database.ts";
import type { Coverage, SeenToken } from "../coverage/coverage.ts";
import {
  signAck,
  parseEvidence,
  parseReport,
  type Items,
  type RefusedItem,
  type Report,
  type ReportItem,
} from "./report-format.ts";
import type { Misses } from "./misses.ts";
import type { ReportStore, StoredAck } from "./report-store.ts";
import { ReporterBudgets } from "./reporter-budget.ts";

export interface ReportAnswer {
  readonly status: 200 | 400 | 409 | 429;
  readonly body: Readonly<Record<string, unknown>>;
  readonly retryAfterSeconds?: number;
}

export interface ReportsParts {
  readonly db: Database;
  readonly store: ReportStore;
  readonly join: IssuedJoin;
  readonly coverage: Pick<Coverage, "sighted" | "counted">;
  readonly alarms: Alarms;
  readonly misses: Misses;
  readonly ackKey: KeyObject;
  readonly clock: Pick<Clock, "now">;
  readonly active: () => number;
  readonly events: MonitorEvents;
  /** How long ago every log was read to its end. */
  readonly auditAgeSeconds: () => number;
  /** An acknowledgement left for this reporter. */
  readonly onReport: (reporter: string) => void;
}

interface LookedUp {
  /** By digest in base64url. */
  readonly missing: ReadonlyMap<string, { readonly digest: Buffer; readonly kid: string }>;
  /** Logged, and by their issuer's word in nobody's hands. */
  readonly orphans: readonly Buffer[];
  readonly seen: readonly SeenToken[];
}

const MAX_OPEN_MISSES = 1000;

/** Join 1: what was validated must have been issued (P4, docs/spec/reports.md). */
export class Reports {
  readonly #parts: ReportsParts;
  readonly #budgets = new ReporterBudgets();
  #received = 0;

  constructor(parts: ReportsParts) {
    this.#parts = parts;
  }

  /** `reporter` is proven; the body is whatever that reporter sends. */
  async report(reporter: string, body: Uint8Array): Promise<ReportAnswer> {
    const report = this.#parse(reporter, () => parseReport(body));
    if ("status" in report) return report;
    const budget = this.#budgets.of(reporter, this.#now);
    if (!budget.requests.take(1, this.#now) || !budget.items.take(sizeOf(report), this.#now))
      return this.#busy(reporter, "ERR_MONITOR_BUDGET", 5);
    const sha256 = hash("sha256", body, "base64url");
    const before = this.#parts.store.ack(reporter, report.session);
    if (before && report.seq <= before.seq) return this.#repeated(reporter, report, before, sha256);
    const found = this.#lookUp(reporter, report);
    if (!found) return this.#busy(reporter, "ERR_MONITOR_MISSES", 30);
    const at = nowSeconds(this.#parts.clock);
    const ack = { seq: report.seq, at, items: report.items.length, sha256 };
    this.#store(reporter, report, ack, found);
    this.#received += 1;
    await this.#parts.misses.decideNow(reporter, [...found.missing.values()]);
    this.#noteLate(reporter, report, found);
    return this.#acknowledged(reporter, report, ack);
  }

  async evidence(reporter: string, body: Uint8Array): Promise<ReportAnswer> {
    const parsed = this.#parse(reporter, () => parseEvidence(body));
    if ("status" in parsed) return parsed;
    const { items, refused } = parsed;
    const { misses, store } = this.#parts;
    const readable = refused.flatMap(({ digest, code }) => (digest ? [{ digest, code }] : []));
    const { requests, evidence } = this.#budgets.of(reporter, this.#now);
    if (!requests.take(1, this.#now) || !evidence.take(sizeOf(parsed), this.#now))
      return this.#busy(reporter, "ERR_MONITOR_BUDGET", 10);
    await misses.decideNow(reporter, [...items, ...readable]);
    let taken = 0;
    for (const item of items) {
      const miss = misses.askedFor(reporter, item.digest);
      if (!miss) continue;
      taken += 1;
      // One after the other: each verification takes milliseconds.
      // oxlint-disable-next-line no-await-in-loop
      await misses.judge(miss, item);
    }
    this.#noteRefused(reporter, refused, "evidence");
    for (const { digest, code } of readable) {
      const miss = misses.askedFor(reporter, digest);
      if (miss) misses.unjudged(miss, code);
    }
    // The reporter chooses how many it settles: none of them stays beyond what is kept (THREAT-31).
    store.trim(reporter);
    const evidenceWanted = misses.wanted(reporter);
    return { status: 200, body: { taken, ...namesOf(refused), evidenceWanted } };
  }

  /** Reports that were acknowledged since the start, each once. */
  get received(): number {
    return this.#received;
  }

  describe(reporter: string): { readonly lastReport: number | null; readonly openMisses: number } {
    const { store } = this.#parts;
    return {
      lastReport: store.lastReport(reporter) ?? null,
      openMisses: store.countOpen(reporter),
    };
  }

  get #now(): number {
    return this.#parts.active();
  }

  #parse<T>(reporter: string, parse: () => T): T | ReportAnswer {
    try {
      return parse();
    } catch (error) {
      const code = errorCode(error);
      const { alarms, events } = this.#parts;
      reportRefused(events, { reporter, code });
      const subject = `${reporter} body`;
      alarms.raise({ kind: "bad-report", subject, reporter, detail: { what: "body", code } });
      return { status: 400, body: { code } };
    }
  }

  #busy(reporter: string, code: string, retryAfterSeconds: number): ReportAnswer {
    reportRefused(this.#parts.events, { reporter, code });
    return { status: 429, body: { code }, retryAfterSeconds };
  }

  /** THREAT-31: a replayed report changes nothing, and says nothing about its digests that was not said before. */
  #repeated(reporter: string, report: Report, before: StoredAck, sha256: string): ReportAnswer {
    if (report.seq === before.seq && sha256 === before.sha256)
      return this.#acknowledged(reporter, report, before);
    reportRefused(this.#parts.events, { reporter, code: "ERR_MONITOR_SEQUENCE" });
    return { status: 409, body: { code: "ERR_MONITOR_SEQUENCE", seq: before.seq } };
  }

  /**
   * Undefined when there are more misses than this reporter may have open. The look-up stops there: a digest that is
   * in no log costs the most to look for, and the reporter chooses the digests (THREAT-31).
   */
  #lookUp(reporter: string, report: Report): LookedUp | undefined {
    const { store, join } = this.#parts;
    const missing = new Map<string, { readonly digest: Buffer; readonly kid: string }>();
    const orphans: Buffer[] = [];
    const seen: SeenToken[] = [];
    let room: number | undefined;
    const items = [...report.items, ...report.refused.flatMap(withoutKid)];
    for (const { digest, kid, audience, issuedAt } of items) {
      const key = encodeBase64url(digest);
      if (missing.has(key)) continue;
      const sighted = join.sighted(digest, reporter);
      if (sighted.fate === "orphaned") orphans.push(digest);
      if (sighted.fate !== "missing") {
        seen.push({ digest, realm: sighted.realm, audience, issuedAt });
        continue;
      }
      missing.set(key, { digest, kid });
      if (store.miss(reporter, digest)) continue;
      room ??= MAX_OPEN_MISSES - store.countOpen(reporter);
      if (room <= 0) return undefined;
      room -= 1;
    }
    return { missing, orphans, seen };
  }

  /** Tokens that were reported before their log was read. */
  #noteLate(reporter: string, { items }: Report, { missing }: LookedUp): void {
    if (missing.size === 0) return;
    const { db, join, coverage } = this.#parts;
    const seen = items.flatMap(({ digest, audience, issuedAt }) => {
      if (!missing.has(encodeBase64url(digest))) return [];
      const sighted = join.sighted(digest, reporter);
      return sighted.fate === "missing"
        ? []
        : [{ digest, realm: sighted.realm, audience, issuedAt }];
    });
    if (seen.length > 0) db.transaction(() => coverage.sighted(seen));
  }

  /** Durable when it returns: only then may the acknowledgement leave. */
  #store(reporter: string, report: Report, ack: StoredAck, found: LookedUp): void {
    const { db, store, alarms, coverage, misses } = this.#parts;
    db.transaction(() => {
      store.putAck(reporter, report, ack);
      coverage.sighted(found.seen);
      if (report.counts) coverage.counted(reporter, report.counts);
      this.#noteRefused(reporter, report.refused, "report");
      for (const digest of found.orphans) alarms.raise(orphanUsed(digest, reporter));
      for (const { digest, kid } of found.missing.values())
        misses.reported(reporter, digest, kid, ack.at);
    });
  }

  #acknowledged(reporter: string, report: Report, stored: StoredAck): ReportAnswer {
    const { ackKey, auditAgeSeconds, misses } = this.#parts;
    const told = { ...stored, auditAgeSeconds: auditAgeSeconds() };
    const signed = signAck(reporter, report.session, told, ackKey);
    this.#parts.onReport(reporter);
    const evidenceWanted = misses.wanted(reporter);
    return { status: 200, body: { ...signed, ...namesOf(report.refused), evidenceWanted } };
  }

  /** Charged to the reporter: a verifier of ours sends nothing that cannot be judged. */
  #noteRefused(reporter: string, refused: readonly RefusedItem[], what: string): void {
    const [first] = refused;
    if (!first) return;
    const { code } = first;
    const digests = refused.flatMap(({ digest }) => (digest ? [encodeBase64url(digest)] : []));
    reportRefused(this.#parts.events, { reporter, code });
    this.#parts.alarms.raise({
      kind: "bad-report",
      subject: `${reporter} items`,
      reporter,
      digests,
      detail: { what, code },
      count: refused.length,
    });
  }
}

/** About how many rows of the database it may take. */
function sizeOf({
  items,
  refused,
  counts,
}: Items<unknown> & Partial<Pick<Report, "counts">>): number {
  return items.length + refused.length + (counts?.rows.length ?? 0);
}

/** An item that could not be read is looked for all the same: no kid is needed before evidence comes. */
function withoutKid({
  digest,
}: RefusedItem): Pick<ReportItem, "digest" | "kid" | "audience" | "issuedAt">[] {
  return digest ? [{ digest, kid: "", audience: undefined, issuedAt: undefined }] : [];
}

function namesOf(refused: readonly RefusedItem[]): Readonly<Record<string, unknown>> {
  if (refused.length === 0) return {};
  const names = refused.map(({ index, digest, code }) => ({
    index,
    ...(digest && { digest: encodeBase64url(digest) }),
    code,
  }));
  return { refused: names };
}

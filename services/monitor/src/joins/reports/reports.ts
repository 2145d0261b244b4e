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
  type EvidenceItem,
  type Items,
  type RefusedItem,
  type Report,
  type ReportItem,
} from "./report-format.ts";
import type { EvidenceCheck } from "../evidence/evidence-check.ts";
import type { Miss, ReportStore, StoredAck } from "./report-store.ts";
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
  readonly evidence: EvidenceCheck;
  readonly ackKey: KeyObject;
  readonly clock: Pick<Clock, "now">;
  readonly active: () => number;
  readonly events: MonitorEvents;
  /** Reads every log to its end, beginning after the call; false when that was not possible. */
  readonly readLogs: () => Promise<boolean>;
  /** Whether what a key signed may be in a log that cannot be read, or not be believed, now. */
  readonly isHidden: (kid: string) => boolean;
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
const MAX_WANTED = 256;
const EVIDENCE_DEADLINE_MS = 30_000;
const HIDDEN_DEADLINE_MS = 600_000;

/** Join 1: what was validated must have been issued (P4, docs/spec/reports.md). */
export class Reports {
  readonly #parts: ReportsParts;
  readonly #budgets = new ReporterBudgets();
  /** Since when a miss waits for a log that cannot be believed. */
  #hiddenSince: number | undefined;

  constructor(parts: ReportsParts) {
    this.#parts = parts;
    parts.store.restartDeadlines(EVIDENCE_DEADLINE_MS);
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
    await this.#decideNow(reporter, [...found.missing.values()]);
    this.#noteLate(reporter, report, found);
    return this.#acknowledged(reporter, report, ack);
  }

  async evidence(reporter: string, body: Uint8Array): Promise<ReportAnswer> {
    const parsed = this.#parse(reporter, () => parseEvidence(body));
    if ("status" in parsed) return parsed;
    const { items, refused } = parsed;
    const readable = refused.flatMap(({ digest, code }) => (digest ? [{ digest, code }] : []));
    const { requests, evidence } = this.#budgets.of(reporter, this.#now);
    if (!requests.take(1, this.#now) || !evidence.take(sizeOf(parsed), this.#now))
      return this.#busy(reporter, "ERR_MONITOR_BUDGET", 10);
    await this.#decideNow(reporter, [...items, ...readable]);
    let taken = 0;
    for (const item of items) {
      const miss = this.#askedFor(reporter, item.digest);
      if (!miss) continue;
      taken += 1;
      // One after the other: each verification takes milliseconds.
      // oxlint-disable-next-line no-await-in-loop
      await this.#judge(miss, item);
    }
    this.#noteRefused(reporter, refused, "evidence");
    for (const { digest, code } of readable) {
      const miss = this.#askedFor(reporter, digest);
      if (miss) this.#unjudged(miss, code);
    }
    // The reporter chooses how many it settles: none of them stays beyond what is kept (THREAT-31).
    this.#parts.store.trim(reporter);
    const evidenceWanted = this.#wanted(reporter);
    return { status: 200, body: { taken, ...namesOf(refused), evidenceWanted } };
  }

  /** Misses that wait for the logs to be read; to be given to `decide` when they were. */
  undecided(): Miss[] {
    return this.#parts.store.undecided();
  }

  /**
   * Every log was read after these misses were stored. docs/spec/reports.md §3: only then is "in no log" a fact,
   * because logging precedes signing.
   */
  decide(misses: readonly Miss[]): void {
    const { db, store } = this.#parts;
    if (misses.length === 0) {
      this.#hiddenSince = undefined;
      return;
    }
    let isAnyHidden = false;
    db.transaction(() => {
      for (const { reporter, digest } of misses) {
        const miss = store.miss(reporter, digest);
        if (miss?.state !== "undecided") continue;
        if (this.#isLogged(digest, reporter)) store.remove(miss);
        else if (this.#waitsForLog(miss)) isAnyHidden = true;
        else store.setState(miss, "wanted", { deadline: this.#now + EVIDENCE_DEADLINE_MS });
      }
    });
    if (!isAnyHidden) this.#hiddenSince = undefined;
  }

  /**
   * Whether a log that cannot be believed now may hold it. Not for long: a ledger that hides entries must not hide a
   * forgery.
   */
  #waitsForLog(miss: Miss): boolean {
    if (!this.#parts.isHidden(miss.kid)) return false;
    this.#hiddenSince ??= this.#now;
    if (this.#now - this.#hiddenSince >= HIDDEN_DEADLINE_MS)
      this.#unjudged(miss, "its log cannot be believed now");
    return true;
  }

  /** Misses whose evidence did not come. */
  expire(): void {
    const { db, store, alarms } = this.#parts;
    const overdue = store.overdue(this.#now);
    if (overdue.length === 0) return;
    db.transaction(() => {
      for (const miss of overdue) {
        // It may have been read since, if its log was not believed for a while.
        if (this.#isLogged(miss.digest, miss.reporter)) {
          store.remove(miss);
          continue;
        }
        store.setState(miss, "unproven");
        alarms.raise({ kind: "unproven-miss", subject: miss.reporter, ...subjectOf(miss) });
      }
      for (const reporter of new Set(overdue.map((miss) => miss.reporter))) store.trim(reporter);
    });
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
    const { db, store, alarms, coverage } = this.#parts;
    db.transaction(() => {
      store.putAck(reporter, report, ack);
      coverage.sighted(found.seen);
      if (report.counts) coverage.counted(reporter, report.counts);
      this.#noteRefused(reporter, report.refused, "report");
      for (const digest of found.orphans) alarms.raise(orphanUsed(digest, reporter));
      for (const { digest, kid } of found.missing.values()) {
        const known = store.miss(reporter, digest);
        // An incident that was closed does not suppress the next hit of the same forgery.
        if (known?.state === "forged") this.#raiseForged(known, {});
        else if (known?.state === "unjudged") this.#raiseUnjudged(known, {});
        else if (!known) store.addMiss(reporter, digest, kid, ack.at);
      }
    });
  }

  /** Reads the logs now if one of these digests waits for it; else the next tick decides. */
  async #decideNow(reporter: string, items: readonly { readonly digest: Buffer }[]): Promise<void> {
    const { store, readLogs } = this.#parts;
    const misses = items
      .map(({ digest }) => store.miss(reporter, digest))
      .filter((miss) => miss?.state === "undecided");
    if (misses.length > 0 && (await readLogs()))
      this.decide(misses.filter((miss) => miss !== undefined));
  }

  #acknowledged(reporter: string, report: Report, stored: StoredAck): ReportAnswer {
    const { ackKey, auditAgeSeconds } = this.#parts;
    const told = { ...stored, auditAgeSeconds: auditAgeSeconds() };
    const signed = signAck(reporter, report.session, told, ackKey);
    this.#parts.onReport(reporter);
    const names = namesOf(report.refused);
    return { status: 200, body: { ...signed, ...names, evidenceWanted: this.#wanted(reporter) } };
  }

  #wanted(reporter: string): string[] {
    return this.#parts.store.wanted(reporter, MAX_WANTED).map(encodeBase64url);
  }

  /** The miss that evidence may be given for; evidence that nobody asked for costs nothing. */
  #askedFor(reporter: string, digest: Buffer): Miss | undefined {
    const { store, evidence } = this.#parts;
    const miss = store.miss(reporter, digest);
    // While the logs could not be read nobody can say that the token was not issued.
    if (!miss || miss.state === "undecided" || miss.state === "forged") return undefined;
    if (miss.attempts >= evidence.maxAttempts) return undefined;
    if (!this.#isLogged(digest, reporter)) return miss;
    store.remove(miss);
    return undefined;
  }

  /** Whether a digest that was a miss is in a log after all; one that nobody can hold is an alarm. */
  #isLogged(digest: Buffer, reporter: string): boolean {
    const { join, alarms } = this.#parts;
    const { fate } = join.sighted(digest, reporter);
    if (fate === "orphaned") alarms.raise(orphanUsed(digest, reporter));
    return fate !== "missing";
  }

  async #judge(miss: Miss, item: EvidenceItem): Promise<void> {
    const { db, store, alarms, evidence } = this.#parts;
    const verdict = await evidence.judge(item);
    if (verdict.kind === "unjudged") return this.#unjudged(miss, verdict.why);
    db.transaction(() => {
      store.setState(miss, verdict.kind, { attempts: 1 });
      if (verdict.kind === "forged") return this.#raiseForged(miss, verdict.detail);
      alarms.raise({ kind: "bad-report", subject: miss.reporter, ...subjectOf(miss) });
    });
  }

  /** A token that a verifier accepted, that no log holds, and of which nobody can say who signed it. */
  #unjudged(miss: Miss, why: string): void {
    const { db, store } = this.#parts;
    db.transaction(() => {
      store.setState(miss, "unjudged", { attempts: 1 });
      this.#raiseUnjudged(miss, { why });
    });
  }

  #raiseUnjudged(miss: Miss, more: Readonly<Record<string, string>>): void {
    const { detail, ...rest } = subjectOf(miss);
    this.#parts.alarms.raise({
      kind: "unjudged-miss",
      subject: miss.reporter,
      ...rest,
      detail: { ...detail, ...more },
    });
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

  #raiseForged(miss: Miss, detail: Readonly<Record<string, string>>): void {
    const subject = `${miss.reporter} ${encodeBase64url(miss.digest)}`;
    const { detail: base, ...rest } = subjectOf(miss);
    this.#parts.alarms.raise({ kind: "forged", subject, ...rest, detail: { ...base, ...detail } });
  }
}

function subjectOf({ reporter, digest, kid }: Miss): {
  readonly reporter: string;
  readonly digests: readonly string[];
  readonly detail: { readonly kid: string };
} {
  return { reporter, digests: [encodeBase64url(digest)], detail: { kid } };
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

import { encodeBase64url } from "@redoubt/verify/base64url";
import type { Alarms } from "../../alarms/alarms.ts";
import { orphanUsed } from "../../alarms/kinds.ts";
import type { Database } from "../../store/database.ts";
import type { EvidenceCheck } from "../evidence/evidence-check.ts";
import type { IssuedJoin } from "../issued/issued-join.ts";
import type { EvidenceItem } from "./report-format.ts";
import type { Miss, ReportStore } from "./report-store.ts";

export interface MissesParts {
  readonly db: Database;
  readonly store: ReportStore;
  readonly join: IssuedJoin;
  readonly alarms: Alarms;
  readonly evidence: EvidenceCheck;
  readonly active: () => number;
  /** Reads every log to its end, beginning after the call; false when that was not possible. */
  readonly readLogs: () => Promise<boolean>;
  /** Whether what a key signed may be in a log that cannot be read, or not be believed, now. */
  readonly isHidden: (kid: string) => boolean;
}

const MAX_WANTED = 256;
const EVIDENCE_DEADLINE_MS = 30_000;
const HIDDEN_DEADLINE_MS = 600_000;

/** Reported digests that are in no log: what becomes of each, from the report to the verdict (docs/spec/reports.md §3). */
export class Misses {
  readonly #parts: MissesParts;
  /** Since when a miss waits for a log that cannot be believed. */
  #hiddenSince: number | undefined;

  constructor(parts: MissesParts) {
    this.#parts = parts;
    parts.store.restartDeadlines(EVIDENCE_DEADLINE_MS);
  }

  /** Within a transaction: this reporter validated the digest, and it is in no log that was read. */
  reported(reporter: string, digest: Buffer, kid: string, atSeconds: number): void {
    const { store } = this.#parts;
    const known = store.miss(reporter, digest);
    // An incident that was closed does not suppress the next hit of the same forgery.
    if (known?.state === "forged") this.#raiseForged(known, {});
    else if (known?.state === "unjudged") this.#raiseUnjudged(known, {});
    else if (!known) store.addMiss(reporter, digest, kid, atSeconds);
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
      this.unjudged(miss, "its log cannot be believed now");
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

  /** Reads the logs now if one of these digests waits for it; else the next tick decides. */
  async decideNow(reporter: string, items: readonly { readonly digest: Buffer }[]): Promise<void> {
    const { store, readLogs } = this.#parts;
    const misses = items
      .map(({ digest }) => store.miss(reporter, digest))
      .filter((miss) => miss?.state === "undecided");
    if (misses.length > 0 && (await readLogs()))
      this.decide(misses.filter((miss) => miss !== undefined));
  }

  /** Digests, in base64url, that the reporter is asked to show evidence of. */
  wanted(reporter: string): string[] {
    return this.#parts.store.wanted(reporter, MAX_WANTED).map(encodeBase64url);
  }

  /** The miss that evidence may be given for; evidence that nobody asked for costs nothing. */
  askedFor(reporter: string, digest: Buffer): Miss | undefined {
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

  /** Verifies the evidence that came for the miss. */
  async judge(miss: Miss, item: EvidenceItem): Promise<void> {
    const { db, store, alarms, evidence } = this.#parts;
    const verdict = await evidence.judge(item);
    if (verdict.kind === "unjudged") return this.unjudged(miss, verdict.why);
    db.transaction(() => {
      store.setState(miss, verdict.kind, { attempts: 1 });
      if (verdict.kind === "forged") return this.#raiseForged(miss, verdict.detail);
      alarms.raise({ kind: "bad-report", subject: miss.reporter, ...subjectOf(miss) });
    });
  }

  /** A token that a verifier accepted, that no log holds, and of which nobody can say who signed it. */
  unjudged(miss: Miss, why: string): void {
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

  #raiseForged(miss: Miss, detail: Readonly<Record<string, string>>): void {
    const subject = `${miss.reporter} ${encodeBase64url(miss.digest)}`;
    const { detail: base, ...rest } = subjectOf(miss);
    this.#parts.alarms.raise({ kind: "forged", subject, ...rest, detail: { ...base, ...detail } });
  }

  get #now(): number {
    return this.#parts.active();
  }
}

function subjectOf({ reporter, digest, kid }: Miss): {
  readonly reporter: string;
  readonly digests: readonly string[];
  readonly detail: { readonly kid: string };
} {
  return { reporter, digests: [encodeBase64url(digest)], detail: { kid } };
}

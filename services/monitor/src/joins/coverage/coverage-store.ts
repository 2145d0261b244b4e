import type { Answered, MONITOR } from "@redoubt/wire";
import { integerOf, textOf, type Database } from "../../store/database.ts";

/** `audience`: null for all of the realm. */
export type TokenCount = Answered<typeof MONITOR.coverage>["items"][number];
/** `issuer`: null where no key of the verifier's issuers was named; `outcome`: null for accepted. */
export type Verification = Answered<typeof MONITOR.verifications>["items"][number];

export interface Added {
  readonly issued?: number;
  readonly seen?: number;
}

const HOUR = 3600;
const DAY = 86_400;
/** P10. */
const KEPT_SECONDS = 730 * DAY;
/** The most rows of one reporter on one day. Beyond them, only rows that exist already go on counting. */
const MAX_ROWS = 4096;

/** Sums of hours and days, for 730 days. Called within transactions. */
export class CoverageStore {
  readonly #add;
  readonly #tokens;
  readonly #count;
  readonly #begin;
  readonly #rows;
  readonly #verifications;
  readonly #prune;

  constructor(db: Database) {
    this.#add = db.prepare(
      `INSERT INTO coverage VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
       SET issued = issued + excluded.issued, seen = seen + excluded.seen`,
    );
    this.#tokens = db.prepare(
      `SELECT realm, audience, sum(issued) AS issued, sum(seen) AS seen FROM coverage
       WHERE hour >= ? GROUP BY realm, audience ORDER BY realm, audience LIMIT ? OFFSET ?`,
    );
    this.#rows = db.prepare(
      "SELECT count(*) AS n FROM verifications WHERE day = ? AND reporter = ?",
    );
    this.#count = db.prepare(
      `UPDATE verifications SET count = count + ? WHERE day = ? AND reporter = ? AND sdk = ?
       AND issuer = ? AND kind = ? AND outcome = ?`,
    );
    this.#begin = db.prepare("INSERT INTO verifications VALUES (?, ?, ?, ?, ?, ?, ?)");
    this.#verifications = db.prepare(
      `SELECT reporter, sdk, issuer, kind, outcome, sum(count) AS count FROM verifications
       WHERE day >= ? GROUP BY reporter, sdk, issuer, kind, outcome
       ORDER BY reporter, sdk, issuer, kind, outcome LIMIT ? OFFSET ?`,
    );
    this.#prune = [
      db.prepare("DELETE FROM coverage WHERE hour < ?"),
      db.prepare("DELETE FROM verifications WHERE day < ?"),
    ] as const;
  }

  /** `at`: seconds since the epoch. */
  add(at: number, realm: string, audience: string | null, { issued = 0, seen = 0 }: Added): void {
    this.#add.run(Math.floor(at / HOUR), realm, audience ?? "", issued, seen);
  }

  /** @returns sums from the hour of `since` on */
  tokens(since: number, limit: number, offset: number): TokenCount[] {
    return this.#tokens.all(Math.floor(since / HOUR), limit, offset).map((row) => ({
      realm: textOf(row, "realm"),
      audience: textOf(row, "audience") || null,
      issued: integerOf(row, "issued"),
      seen: integerOf(row, "seen"),
    }));
  }

  /** `at`: seconds since the epoch. */
  count(at: number, reporter: string, counts: readonly Omit<Verification, "reporter">[]): void {
    const day = Math.floor(at / DAY);
    let rows = integerOf(this.#rows.get(day, reporter) ?? {}, "n");
    for (const { sdk, issuer, kind, outcome, count } of counts) {
      const key = [day, reporter, sdk, issuer ?? "", kind, outcome ?? ""];
      if (this.#count.run(count, ...key).changes > 0 || rows >= MAX_ROWS) continue;
      this.#begin.run(...key, count);
      rows += 1;
    }
  }

  /** @returns sums from the day of `since` on */
  verifications(since: number, limit: number, offset: number): Verification[] {
    return this.#verifications.all(Math.floor(since / DAY), limit, offset).map((row) => ({
      reporter: textOf(row, "reporter"),
      sdk: textOf(row, "sdk"),
      issuer: textOf(row, "issuer") || null,
      kind: textOf(row, "kind"),
      outcome: textOf(row, "outcome") || null,
      count: integerOf(row, "count"),
    }));
  }

  /** `now`: seconds since the epoch. */
  prune(now: number): void {
    const before = now - KEPT_SECONDS;
    this.#prune[0].run(Math.floor(before / HOUR));
    this.#prune[1].run(Math.floor(before / DAY));
  }
}

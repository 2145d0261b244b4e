import { bytesOf, integerOf, textOf, type Database, type Row } from "../store/database.ts";

/**
 * undecided  in no log when the report came; the logs have to be read again
 * wanted     in no log that was read after it: evidence is asked for
 * forged     the evidence verified
 * bad        the evidence did not verify
 * unjudged   the evidence is such that nobody can say
 * unproven   no evidence came in time
 */
export type MissState = "undecided" | "wanted" | "forged" | "bad" | "unjudged" | "unproven";

export interface Miss {
  readonly reporter: string;
  readonly digest: Buffer;
  readonly kid: string;
  readonly state: string;
  readonly attempts: number;
}

export interface StoredAck {
  readonly seq: number;
  readonly at: number;
  readonly items: number;
  readonly sha256: string;
}

const KEPT_SESSIONS = 64;
const KEPT_SETTLED = 10_000;

/** Keyed by reporter throughout: what one says never touches what another says (THREAT-31). */
export class ReportStore {
  readonly #last;
  readonly #setLast;
  readonly #ack;
  readonly #putAck;
  readonly #trimAcks;
  readonly #insert;
  readonly #get;
  readonly #setState;
  readonly #delete;
  readonly #inState;
  readonly #countOpen;
  readonly #wanted;
  readonly #overdue;
  readonly #trim;
  readonly #restart;

  constructor(db: Database) {
    this.#last = db.prepare("SELECT last FROM reporters WHERE reporter = ?");
    this.#setLast = db.prepare(
      "INSERT INTO reporters VALUES (?, ?) ON CONFLICT (reporter) DO UPDATE SET last = excluded.last",
    );
    this.#ack = db.prepare(
      "SELECT seq, at, items, sha256 FROM acks WHERE reporter = ? AND session = ?",
    );
    this.#putAck = db.prepare(
      `INSERT INTO acks VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (reporter, session) DO UPDATE SET
       seq = excluded.seq, at = excluded.at, sha256 = excluded.sha256, items = excluded.items`,
    );
    this.#trimAcks = db.prepare(
      `DELETE FROM acks WHERE reporter = ?1 AND session NOT IN
       (SELECT session FROM acks WHERE reporter = ?1 ORDER BY at DESC LIMIT ${KEPT_SESSIONS})`,
    );
    this.#insert = db.prepare(
      "INSERT OR IGNORE INTO misses VALUES (?, ?, ?, 'undecided', 0, 0, ?)",
    );
    this.#get = db.prepare("SELECT * FROM misses WHERE reporter = ? AND digest = ?");
    this.#setState = db.prepare(
      `UPDATE misses SET state = ?, deadline = ?, attempts = attempts + ?
       WHERE reporter = ? AND digest = ?`,
    );
    this.#delete = db.prepare("DELETE FROM misses WHERE reporter = ? AND digest = ?");
    this.#inState = db.prepare("SELECT * FROM misses WHERE state = ?");
    this.#countOpen = db.prepare(
      "SELECT count(*) AS n FROM misses WHERE state IN ('undecided', 'wanted') AND reporter = ?",
    );
    this.#wanted = db.prepare(
      `SELECT digest FROM misses WHERE state IN ('wanted', 'unproven') AND reporter = ?
       ORDER BY state DESC, at LIMIT ?`,
    );
    this.#overdue = db.prepare("SELECT * FROM misses WHERE state = 'wanted' AND deadline <= ?");
    this.#trim = db.prepare(
      `DELETE FROM misses WHERE reporter = ?1 AND state IN ('bad', 'unjudged', 'unproven') AND digest NOT IN
       (SELECT digest FROM misses WHERE reporter = ?1 AND state IN ('bad', 'unjudged', 'unproven')
        ORDER BY at DESC LIMIT ${KEPT_SETTLED})`,
    );
    this.#restart = db.prepare("UPDATE misses SET deadline = ? WHERE state = 'wanted'");
  }

  /** Seconds; undefined before the first report. */
  lastReport(reporter: string): number | undefined {
    const row = this.#last.get(reporter);
    return row && integerOf(row, "last");
  }

  ack(reporter: string, session: string): StoredAck | undefined {
    const row = this.#ack.get(reporter, session);
    if (!row) return undefined;
    return {
      seq: integerOf(row, "seq"),
      at: integerOf(row, "at"),
      items: integerOf(row, "items"),
      sha256: textOf(row, "sha256"),
    };
  }

  putAck(reporter: string, session: string, { seq, at, items, sha256 }: StoredAck): void {
    this.#putAck.run(reporter, session, seq, at, sha256, items);
    this.#trimAcks.run(reporter);
    this.#setLast.run(reporter, at);
  }

  addMiss(reporter: string, digest: Buffer, kid: string, atSeconds: number): void {
    this.#insert.run(reporter, digest, kid, atSeconds);
  }

  miss(reporter: string, digest: Buffer): Miss | undefined {
    const row = this.#get.get(reporter, digest);
    return row && missOf(row);
  }

  /** `deadline` is active time, and counts for `wanted` only. */
  setState(miss: Miss, state: MissState, { deadline = 0, attempts = 0 } = {}): void {
    this.#setState.run(state, deadline, attempts, miss.reporter, miss.digest);
  }

  remove(miss: Miss): void {
    this.#delete.run(miss.reporter, miss.digest);
  }

  undecided(): Miss[] {
    return this.#inState.all("undecided").map(missOf);
  }

  overdue(now: number): Miss[] {
    return this.#overdue.all(now).map(missOf);
  }

  countOpen(reporter: string): number {
    return integerOf(this.#countOpen.get(reporter) ?? {}, "n");
  }

  wanted(reporter: string, limit: number): Buffer[] {
    return this.#wanted.all(reporter, limit).map((row) => bytesOf(row, "digest"));
  }

  /** Forgets the oldest settled misses of a reporter, but never a forgery. */
  trim(reporter: string): void {
    this.#trim.run(reporter);
  }

  /** Active time starts anew with each run. */
  restartDeadlines(deadline: number): void {
    this.#restart.run(deadline);
  }
}

function missOf(row: Row): Miss {
  return {
    reporter: textOf(row, "reporter"),
    digest: Buffer.from(bytesOf(row, "digest")),
    kid: textOf(row, "kid"),
    state: textOf(row, "state"),
    attempts: integerOf(row, "attempts"),
  };
}

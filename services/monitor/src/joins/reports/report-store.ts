import { bytesOf, integerOf, textOf, type Database, type Row } from "../../store/database.ts";

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

/** After this time without a report a session is silent, and a reporter of which it was the last. */
export const REPORTER_SILENT_SECONDS = 900;

/** So many open sessions of a reporter are kept, and as many that said goodbye: neither kind pushes out the other. */
const KEPT_SESSIONS = 64;
const KEPT_SETTLED = 10_000;

/** Keyed by reporter throughout: what one says never touches what another says (THREAT-31). */
export class ReportStore {
  readonly #last;
  readonly #setLast;
  readonly #expected;
  readonly #openBeside;
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
      `INSERT INTO reporters (reporter, last, gone) VALUES (?, ?, ?) ON CONFLICT (reporter) DO UPDATE SET
       last = excluded.last, gone = excluded.gone`,
    );
    this.#expected = db.prepare("SELECT reporter FROM reporters WHERE gone = 0");
    this.#openBeside = db.prepare(
      `SELECT count(*) AS n FROM acks
       WHERE reporter = ? AND session <> ? AND closed = 0 AND at > ?`,
    );
    this.#ack = db.prepare(
      "SELECT seq, at, items, sha256 FROM acks WHERE reporter = ? AND session = ?",
    );
    this.#putAck = db.prepare(
      `INSERT INTO acks (reporter, session, seq, at, sha256, items, closed) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (reporter, session) DO UPDATE SET seq = excluded.seq, at = excluded.at,
       sha256 = excluded.sha256, items = excluded.items, closed = excluded.closed`,
    );
    this.#trimAcks = db.prepare(
      `DELETE FROM acks WHERE reporter = ?1 AND closed = ?2 AND session NOT IN
       (SELECT session FROM acks WHERE reporter = ?1 AND closed = ?2
        ORDER BY at DESC LIMIT ${KEPT_SESSIONS})`,
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
      `DELETE FROM misses WHERE reporter = ?1 AND digest IN
       (SELECT digest FROM misses WHERE reporter = ?1 AND state IN ('bad', 'unjudged', 'unproven')
        ORDER BY at DESC LIMIT -1 OFFSET ${KEPT_SETTLED})`,
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

  putAck(
    reporter: string,
    { session, isClosing }: { readonly session: string; readonly isClosing: boolean },
    { seq, at, items, sha256 }: StoredAck,
  ): void {
    const closed = Number(isClosing);
    this.#putAck.run(reporter, session, seq, at, sha256, items, closed);
    this.#trimAcks.run(reporter, closed);
    const isGone = isClosing && !this.#hasOpenBeside(reporter, session, at);
    this.#setLast.run(reporter, at, Number(isGone));
  }

  /** Reporters that reported, and did not say goodbye since. */
  expected(): ReadonlySet<string> {
    return new Set(this.#expected.all().map((row) => textOf(row, "reporter")));
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

  /** Processes that share a credential have sessions of their own: one that ends does not excuse another. */
  #hasOpenBeside(reporter: string, session: string, at: number): boolean {
    const row = this.#openBeside.get(reporter, session, at - REPORTER_SILENT_SECONDS);
    return integerOf(row ?? {}, "n") > 0;
  }

  /** Active time starts anew with each run. */
  restartDeadlines(deadline: number): void {
    this.#restart.run(deadline);
  }
}

function missOf(row: Row): Miss {
  return {
    reporter: textOf(row, "reporter"),
    digest: bytesOf(row, "digest"),
    kid: textOf(row, "kid"),
    state: textOf(row, "state"),
    attempts: integerOf(row, "attempts"),
  };
}

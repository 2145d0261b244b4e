import { parseJson } from "@redoubt/verify/json";
import { integerOf, optionalTextOf, textOf, type Database, type Row } from "../store/database.ts";
import { ALARM_SEVERITY, type Alarm, type AlarmInput } from "./kinds.ts";

/** Digests that one alarm lists; beyond them it only counts. */
export const MAX_ALARM_DIGESTS = 256;

export interface AlarmQuery {
  /** Only alarms with a larger id. */
  readonly since?: number;
  readonly digest?: string;
  readonly limit: number;
}

/** Alarms are kept for good: nothing here deletes one. */
export class AlarmStore {
  readonly #db: Database;
  readonly #insert;
  readonly #insertDigest;
  readonly #update;
  readonly #close;
  readonly #get;
  readonly #page;
  readonly #byDigest;
  readonly #digests;
  readonly #open;

  constructor(db: Database) {
    this.#db = db;
    this.#insert = db.prepare(
      `INSERT INTO alarms (at, last, kind, severity, subject, digest, log, reporter, detail, count)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#insertDigest = db.prepare("INSERT OR IGNORE INTO alarm_digests VALUES (?, ?)");
    this.#update = db.prepare("UPDATE alarms SET count = count + ?, last = ? WHERE id = ?");
    this.#close = db.prepare("UPDATE alarms SET closed = ? WHERE id = ? AND closed IS NULL");
    this.#get = db.prepare("SELECT * FROM alarms WHERE id = ?");
    this.#page = db.prepare("SELECT * FROM alarms WHERE id > ? ORDER BY id LIMIT ?");
    this.#byDigest = db.prepare(
      `SELECT a.* FROM alarm_digests d JOIN alarms a ON a.id = d.alarm
       WHERE d.digest = ? AND a.id > ? ORDER BY a.id LIMIT ?`,
    );
    this.#digests = db.prepare("SELECT digest FROM alarm_digests WHERE alarm = ? LIMIT ?");
    this.#open = db.prepare(
      `SELECT a.id, a.kind, a.subject, a.count, (SELECT count(*) FROM alarm_digests d
       WHERE d.alarm = a.id) AS digests FROM alarms a WHERE a.closed IS NULL ORDER BY a.id`,
    );
  }

  insert(input: AlarmInput, atSeconds: number): number {
    const { kind, subject, digests = [], log, reporter, detail, count = 1 } = input;
    const severity = ALARM_SEVERITY[kind];
    const [digest = null] = digests;
    const text = JSON.stringify(detail);
    return this.#db.transaction(() => {
      const { lastInsertRowid } = this.#insert.run(
        atSeconds,
        atSeconds,
        kind,
        severity,
        subject,
        digest,
        log ?? null,
        reporter ?? null,
        text,
        count,
      );
      const id = Number(lastInsertRowid);
      this.addDigests(id, digests.slice(0, MAX_ALARM_DIGESTS));
      return id;
    });
  }

  addDigests(id: number, digests: readonly string[]): void {
    if (digests.length === 0) return;
    this.#db.transaction(() => {
      for (const digest of digests) this.#insertDigest.run(digest, id);
    });
  }

  addCount(id: number, count: number, atSeconds: number): void {
    this.#update.run(count, atSeconds, id);
  }

  close(id: number, how: string): void {
    this.#close.run(how, id);
  }

  get(id: number): Alarm | undefined {
    const row = this.#get.get(id);
    return row && this.#alarmOf(row);
  }

  list({ since = 0, digest, limit }: AlarmQuery): Alarm[] {
    const rows =
      digest === undefined
        ? this.#page.all(since, limit)
        : this.#byDigest.all(digest, since, limit);
    return rows.map((row) => this.#alarmOf(row));
  }

  open(): { id: number; kind: string; subject: string; count: number; digests: number }[] {
    return this.#open.all().map((row) => ({
      id: integerOf(row, "id"),
      kind: textOf(row, "kind"),
      subject: textOf(row, "subject"),
      count: integerOf(row, "count"),
      digests: integerOf(row, "digests"),
    }));
  }

  #alarmOf(row: Row): Alarm {
    const id = integerOf(row, "id");
    const digest = optionalTextOf(row, "digest");
    const log = optionalTextOf(row, "log");
    const reporter = optionalTextOf(row, "reporter");
    const closed = optionalTextOf(row, "closed");
    const digests = this.#digests.all(id, MAX_ALARM_DIGESTS).map((one) => textOf(one, "digest"));
    return {
      id,
      at: integerOf(row, "at"),
      kind: textOf(row, "kind"),
      severity: textOf(row, "severity"),
      ...(digest !== undefined && { digest }),
      ...(digests.length > 1 && { digests }),
      ...(log !== undefined && { log }),
      ...(reporter !== undefined && { reporter }),
      detail: parseJson(textOf(row, "detail")),
      count: integerOf(row, "count"),
      ...(closed !== undefined && { closed }),
    };
  }
}

import { parseJson } from "@redoubt/verify/json";
import { integerOf, optionalTextOf, textOf, type Database, type Row } from "../store/database.ts";
import {
  ALARM_SEVERITY,
  type Alarm,
  type AlarmInput,
  type AlarmKind,
  type AlarmNotice,
} from "./kinds.ts";

/** Digests that one alarm or notice lists. */
const MAX_LISTED_DIGESTS = 256;
/** Digests by which one critical alarm is found; beyond them it only counts. */
export const MAX_ALARM_DIGESTS = 100_000;

export interface AlarmQuery {
  /** Only alarms with a larger id. */
  readonly since?: number | undefined;
  readonly digest?: string | undefined;
  readonly limit: number;
}

/** Alarms are kept for good: nothing here deletes one. */
export class AlarmStore {
  readonly #db: Database;
  readonly #insert;
  readonly #insertDigest;
  readonly #update;
  readonly #addFresh;
  readonly #untold;
  readonly #pending;
  readonly #tellDigests;
  readonly #tell;
  readonly #close;
  readonly #get;
  readonly #page;
  readonly #byDigest;
  readonly #digests;
  readonly #open;

  constructor(db: Database) {
    this.#db = db;
    this.#insert = db.prepare(
      `INSERT INTO alarms
       (at, last, kind, severity, subject, digest, log, reporter, detail, count, fresh)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#insertDigest = db.prepare("INSERT OR IGNORE INTO alarm_digests VALUES (?, ?, 0)");
    this.#update = db.prepare("UPDATE alarms SET count = count + ?, last = ? WHERE id = ?");
    this.#addFresh = db.prepare("UPDATE alarms SET fresh = fresh + ?, latest = ? WHERE id = ?");
    this.#untold = db.prepare(
      "SELECT digest FROM alarm_digests WHERE alarm = ? AND told = 0 LIMIT ?",
    );
    this.#pending = db.prepare("SELECT id, notices FROM alarms WHERE fresh > 0 ORDER BY id");
    this.#tellDigests = db.prepare(
      "UPDATE alarm_digests SET told = 1 WHERE alarm = ? AND told = 0",
    );
    this.#tell = db.prepare(
      "UPDATE alarms SET fresh = 0, latest = NULL, notices = notices + 1 WHERE id = ?",
    );
    this.#close = db.prepare("UPDATE alarms SET closed = ? WHERE id = ? AND closed IS NULL");
    this.#get = db.prepare("SELECT * FROM alarms WHERE id = ?");
    this.#page = db.prepare("SELECT * FROM alarms WHERE id > ? ORDER BY id LIMIT ?");
    this.#byDigest = db.prepare(
      `SELECT a.* FROM alarm_digests d JOIN alarms a ON a.id = d.alarm
       WHERE d.digest = ? AND a.id > ? ORDER BY a.id LIMIT ?`,
    );
    this.#digests = db.prepare(
      "SELECT digest FROM alarm_digests WHERE alarm = ? AND digest <> ? LIMIT ?",
    );
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
        count,
      );
      const id = Number(lastInsertRowid);
      this.addDigests(id, digests.slice(0, digestsOf(kind)));
      return id;
    });
  }

  /** Returns how many of them this alarm did not hold yet. */
  addDigests(id: number, digests: readonly string[]): number {
    if (digests.length === 0) return 0;
    return this.#db.transaction(() => {
      let added = 0;
      for (const digest of digests) added += Number(this.#insertDigest.run(digest, id).changes);
      return added;
    });
  }

  /** Hits that a notice must tell of; durable on return. */
  addFresh(id: number, fresh: number, detail: AlarmInput["detail"]): void {
    this.#addFresh.run(fresh, JSON.stringify(detail), id);
  }

  transaction<T>(work: () => T): T {
    return this.#db.transaction(work);
  }

  /** Alarms with something that no notice told of, closed ones too. */
  pending(): { id: number; isRaised: boolean }[] {
    return this.#pending
      .all()
      .map((row) => ({ id: integerOf(row, "id"), isRaised: integerOf(row, "notices") > 0 }));
  }

  /** What no notice told of yet; undefined when there is no such alarm. */
  untold(id: number, atSeconds: number): AlarmNotice | undefined {
    const row = this.#get.get(id);
    if (!row) return undefined;
    const log = optionalTextOf(row, "log");
    const reporter = optionalTextOf(row, "reporter");
    return {
      id,
      sequence: integerOf(row, "notices") + 1,
      at: atSeconds,
      kind: textOf(row, "kind"),
      severity: textOf(row, "severity"),
      ...(log !== undefined && { log }),
      ...(reporter !== undefined && { reporter }),
      count: integerOf(row, "count"),
      added: integerOf(row, "fresh"),
      digests: this.#untold.all(id, MAX_LISTED_DIGESTS).map((one) => textOf(one, "digest")),
      detail: parseJson(optionalTextOf(row, "latest") ?? textOf(row, "detail")),
    };
  }

  /** In one transaction: what the outlet takes is marked as told. False when it takes nothing. */
  tell(id: number, offer: () => boolean): boolean {
    return this.#db.transaction(() => {
      if (!offer()) return false;
      this.#tell.run(id);
      this.#tellDigests.run(id);
      return true;
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

  open(): {
    id: number;
    kind: string;
    subject: string;
    count: number;
    digests: number;
  }[] {
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
    const others = this.#digests.all(id, digest ?? "", MAX_LISTED_DIGESTS - 1);
    return {
      id,
      at: integerOf(row, "at"),
      kind: textOf(row, "kind"),
      severity: textOf(row, "severity"),
      ...(digest !== undefined && { digest }),
      ...(digest !== undefined &&
        others.length > 0 && { digests: [digest, ...others.map((one) => textOf(one, "digest"))] }),
      ...(log !== undefined && { log }),
      ...(reporter !== undefined && { reporter }),
      detail: parseJson(textOf(row, "detail")),
      count: integerOf(row, "count"),
      ...(closed !== undefined && { closed }),
    };
  }
}

/** Digests that an alarm of this kind keeps: a flood of warnings must not fill the disk. */
export function digestsOf(kind: AlarmKind): number {
  return ALARM_SEVERITY[kind] === "critical" ? MAX_ALARM_DIGESTS : MAX_LISTED_DIGESTS;
}

import { bytesOf, integerOf, textOf, type Database } from "../../store/database.ts";

export type SessionEnd = "open" | "closed" | "superseded";

export interface SessionRow {
  readonly session: string;
  readonly seq: number;
  readonly end: SessionEnd;
}

/** A report's digests, and who has places taken by them. */
export interface Kept {
  readonly caller: string;
  readonly realm: string;
  readonly digests: Buffer;
}

export interface JournalRow extends Kept {
  readonly id: number;
}

/**
 * Why an issuer cannot say that it received a token. It never did: `resumed` (it was killed, and kept what it had
 * received), `lost` (the connection or the answer was). Nobody knows: `stop` (it was killed, and kept nothing),
 * `forgotten` (it received more than it could keep).
 */
export const WINDOW_KINDS = ["resumed", "lost", "stop", "forgotten"] as const;
export type WindowKind = (typeof WINDOW_KINDS)[number];

const ENDS = ["open", "closed", "superseded"] as const;
const KEPT_SESSIONS = 16;

/** What issuers told us and what follows from it. Called within the transaction of a tick. */
export class DeliveryStore {
  readonly #sessions;
  readonly #putSession;
  readonly #dropSessions;
  readonly #journal;
  readonly #append;
  readonly #remove;
  readonly #windows;
  readonly #putWindow;
  readonly #dropWindow;

  constructor(db: Database) {
    this.#sessions = db.prepare(
      "SELECT session, seq, closed FROM sessions WHERE caller = ? ORDER BY at DESC",
    );
    this.#putSession = db.prepare(
      `INSERT INTO sessions VALUES (?, ?, ?, ?, ?) ON CONFLICT (caller, session) DO UPDATE
       SET seq = excluded.seq, at = excluded.at, closed = excluded.closed`,
    );
    this.#dropSessions = db.prepare(
      `DELETE FROM sessions WHERE caller = ?1 AND session NOT IN
       (SELECT session FROM sessions WHERE caller = ?1 ORDER BY at DESC LIMIT ${KEPT_SESSIONS})`,
    );
    this.#journal = db.prepare("SELECT id, caller, realm, digests FROM journal ORDER BY id");
    this.#append = db.prepare("INSERT INTO journal (caller, realm, digests) VALUES (?, ?, ?)");
    this.#remove = db.prepare("DELETE FROM journal WHERE id = ?");
    this.#windows = db.prepare("SELECT realm, kind, remaining FROM windows");
    this.#putWindow = db.prepare(
      `INSERT INTO windows VALUES (?, ?, ?)
       ON CONFLICT (realm, kind) DO UPDATE SET remaining = excluded.remaining`,
    );
    this.#dropWindow = db.prepare("DELETE FROM windows WHERE realm = ? AND kind = ?");
  }

  /** Newest first. */
  sessions(caller: string): SessionRow[] {
    return this.#sessions.all(caller).map((row) => ({
      session: textOf(row, "session"),
      seq: integerOf(row, "seq"),
      end: ENDS[integerOf(row, "closed")] ?? "superseded",
    }));
  }

  putSession(caller: string, { session, seq, end }: SessionRow, atSeconds: number): void {
    this.#putSession.run(caller, session, seq, atSeconds, ENDS.indexOf(end));
  }

  trimSessions(caller: string): void {
    this.#dropSessions.run(caller);
  }

  journal(): JournalRow[] {
    return this.#journal.all().map((row) => ({
      id: integerOf(row, "id"),
      caller: textOf(row, "caller"),
      realm: textOf(row, "realm"),
      digests: bytesOf(row, "digests"),
    }));
  }

  append({ caller, realm, digests }: Kept): number {
    return Number(this.#append.run(caller, realm, digests).lastInsertRowid);
  }

  remove(id: number): void {
    this.#remove.run(id);
  }

  windows(): { realm: string; kind: WindowKind; remaining: number }[] {
    return this.#windows.all().map((row) => ({
      realm: textOf(row, "realm"),
      kind: WINDOW_KINDS.find((kind) => kind === textOf(row, "kind")) ?? "stop",
      remaining: integerOf(row, "remaining"),
    }));
  }

  putWindow(realm: string, kind: WindowKind, remaining: number): void {
    this.#putWindow.run(realm, kind, remaining);
  }

  dropWindow(realm: string, kind: WindowKind): void {
    this.#dropWindow.run(realm, kind);
  }
}

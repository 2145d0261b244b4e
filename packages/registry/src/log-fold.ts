import { parseVerifierKey } from "@redoubt/tlog";
import { decodeBase64url } from "@redoubt/verify/base64url";
import type { BrokerInfo, ClosedLog, WriterInfo } from "./registry-types.ts";
import type { RoleKeys } from "./role-keys.ts";
import { conflict } from "./scope-rules.ts";
import type { BrokerStatement, LogClosedStatement, WriterStatement } from "./statement-types.ts";

/** Owner of brokers' logs; no realm is called so. */
const BROKER = "/broker";

/**
 * The issuance logs of all realms, and the logs of brokers. A log that cannot go on, or whose keys are to be others, is closed for good and
 * another goes on in its place: what was fixed for the first holds for all that follow it.
 */
export class LogFold {
  readonly writers = new Map<string, WriterInfo>();
  readonly closed = new Map<string, ClosedLog>();
  readonly brokers = new Map<string, BrokerInfo>();
  /** The first of each line of logs, by the origins of those that follow it. */
  readonly #first = new Map<string, string>();
  /** Logs that a key record names. */
  readonly #named = new Set<string>();

  /** Names the line that a log is of, by the origin of its first log; a log that succeeds no other is that itself. */
  lineage(log: string): string {
    return this.#first.get(log) ?? log;
  }

  takeWriter(statement: WriterStatement, roleKeys: RoleKeys): void {
    const { realm, log } = statement;
    this.writers.set(log, { realm, log, ...this.#takeKeys(statement, realm, roleKeys) });
  }

  /** A broker's log is of no realm: its keys serve nothing else. */
  takeBroker(statement: BrokerStatement, roleKeys: RoleKeys): void {
    const { log, realms } = statement;
    this.brokers.set(log, { log, realms, ...this.#takeKeys(statement, BROKER, roleKeys) });
  }

  #takeKeys(
    statement: WriterStatement | BrokerStatement,
    owner: string,
    roleKeys: RoleKeys,
  ): Pick<WriterInfo, "writer" | "logKey"> {
    const { log } = statement;
    if (this.writers.has(log) || this.brokers.has(log)) throw conflict(`Log ${log} has a writer`);
    const writer = parseVerifierKey(statement.writer);
    const logKey = parseVerifierKey(statement.logKey);
    if (writer.name !== `${log}/writer` || logKey.name !== log)
      throw conflict(`Keys of log ${log} are not named for it`);
    // P3: the two signatures of a checkpoint say two things only if two hold the keys; and no realm shares one.
    if (writer.publicKey.equals(logKey.publicKey))
      throw conflict(`Writer of ${log} must not hold the log key`);
    roleKeys.checkKey(writer.publicKey, `writer:${owner}`);
    roleKeys.checkKey(logKey.publicKey, `log:${owner}`);
    roleKeys.addKey(writer.publicKey, `writer:${owner}`);
    roleKeys.addKey(logKey.publicKey, `log:${owner}`);
    return { writer, logKey };
  }

  takeClosed({ realm, log, size, root, successor, reason, at }: LogClosedStatement): void {
    const owner = realm ?? BROKER;
    for (const origin of [log, successor]) {
      if (this.#ownerOf(origin) !== owner)
        throw conflict(
          `${realm === undefined ? "A broker" : `Realm ${realm}`} has no log ${origin}`,
        );
      if (this.closed.has(origin)) throw conflict(`Log ${origin} is closed`);
    }
    // P5: another broker's word is no reason to give leases of a realm away.
    if (realmsText(this.brokers.get(log)) !== realmsText(this.brokers.get(successor)))
      throw conflict(`Log ${successor} is of other realms`);
    // Otherwise two rings, each with an active key, would become one.
    const isTaken = log === successor || this.#first.has(successor) || this.#named.has(successor);
    if (isTaken) throw conflict(`Log ${successor} must be a new one`);
    this.#first.set(successor, this.lineage(log));
    const bytes = decodeBase64url(root, { bytes: 32 });
    this.closed.set(log, { realm, log, size, root: bytes, successor, reason, at });
  }

  #ownerOf(origin: string): string | undefined {
    return this.writers.get(origin)?.realm ?? (this.brokers.has(origin) ? BROKER : undefined);
  }

  /** Notes that a key record names this log, which therefore can succeed no other. */
  takeName(log: string): void {
    this.#named.add(log);
  }

  /** @throws KeyError `ERR_STATEMENT_CONFLICT` unless a key of this realm may name this log */
  checkName(log: string, realm: string): void {
    if (this.writers.get(log)?.realm !== realm)
      throw conflict("Key record names a log that is not its realm's");
    if (this.closed.has(log)) throw conflict("Key record names a log that is closed");
  }
}

function realmsText(broker: BrokerInfo | undefined): string | undefined {
  return broker?.realms.toSorted().join();
}

import { errorCode, nowSeconds, type Clock } from "@redoubt/base";
import type { ClosedLog, Registry } from "@redoubt/registry";
import { RemoteError, type Requester } from "@redoubt/wire";
import type { Alarms } from "../alarms/alarms.ts";
import { ledgerUnread, type MonitorEvents } from "../events.ts";
import type { IssuedJoin } from "../joins/issued/issued-join.ts";
import type { Claims } from "../witness/claims.ts";
import type { LogKeys } from "../witness/log-keys.ts";
import type { WitnessStore } from "../witness/witness-store.ts";
import type { Witness } from "../witness/witness.ts";
import type { Reading } from "./sight.ts";
import type { FollowStore } from "./follow-store.ts";
import { grantReader } from "./grant-reader.ts";
import { issuanceReader } from "./issuance-reader.ts";
import type { UnverifiedEntries, UnverifiedItems } from "./unverified-pages.ts";
import type { LogReader, ReadOutcome } from "./log-reader.ts";
import type { RegistryCopy } from "./registry-copy.ts";
import { registryReader } from "./registry-reader.ts";

export interface FollowerParts {
  readonly ledger: Requester;
  readonly registry: Registry;
  readonly registryKeys: LogKeys;
  readonly alarms: Alarms;
  readonly claims: Claims;
  readonly witness: Witness;
  readonly witnessStore: WitnessStore;
  readonly store: FollowStore;
  readonly copy: RegistryCopy;
  readonly join: IssuedJoin;
  readonly active: () => number;
  readonly clock: Pick<Clock, "now">;
  readonly events: MonitorEvents;
}

type Reader = Pick<LogReader<UnverifiedEntries>, "size" | "read" | "forgot">;

const ROLLBACK = "witness-rollback";
/**
 * After a log was closed, its signer takes so long at most to append the last entries to the successor: both it and
 * the ledger are restarted.
 */
const CARRY_SECONDS = 30;

/** Reads all logs: first the registry, which says what other logs there are. */
export class Follower {
  readonly #parts: FollowerParts;
  readonly #registryReader: LogReader<UnverifiedItems>;
  readonly #readers = new Map<string, LogReader<UnverifiedEntries>>();
  #isFolded = false;
  readonly #distrusted = new Set<string>();
  #running: Promise<boolean> | undefined;
  #next: Promise<boolean> | undefined;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
    this.#registryReader = registryReader({ ...parts, keys: parts.registryKeys });
  }

  /** The registry was read to its end at least once: only then is it known who may report. */
  get isFolded(): boolean {
    return this.#isFolded;
  }

  get sizes(): ReadonlyMap<string, number> {
    const { origin } = this.#parts.registryKeys;
    const logs = [...this.#readers].map(([one, { size }]) => [one, size] as const);
    return new Map([[origin, this.#registryReader.size] as const, ...logs]);
  }

  /**
   * THREAT-38: whether a digest that we found in no log of this realm (of any realm, if it is undefined) may have
   * been logged all the same. That may be if the ledger shows less of a log than there was, if our own memory of a
   * log is an old copy, or if a log was just closed and its last entries are still on their way into its successor.
   * Each of these has an alarm. A ledger that does not answer is another case: then nothing is judged.
   */
  isHidden(realm: string | undefined): boolean {
    const { registry, registryKeys } = this.#parts;
    if (this.#isLogHidden(registryKeys.origin)) return true;
    const logs = [...registry.writers.values()];
    return logs.some((one) => one.realm === (realm ?? one.realm) && this.#isLogHidden(one.log));
  }

  #isLogHidden(origin: string): boolean {
    const { witnessStore, clock } = this.#parts;
    const halt = witnessStore.haltOf(origin);
    switch (halt?.reason) {
      case undefined:
        return this.#distrusted.has(origin);
      case "closed":
        return nowSeconds(clock) - halt.at < CARRY_SECONDS;
      case ROLLBACK:
        return true;
      default:
        // A fork: nobody waits for more of this log.
        return false;
    }
  }

  /** Of all logs together: how far they were read, how far the ledger says that they go, and which are not believed. */
  get progress(): Pick<Reading, "read" | "size" | "distrusted"> {
    const readers = [this.#registryReader, ...this.#readers.values()];
    return {
      read: readers.reduce((sum, { size }) => sum + size, 0),
      size: readers.reduce((sum, { unverifiedSize }) => sum + unverifiedSize, 0),
      distrusted: [...this.#distrusted],
    };
  }

  /**
   * Reads every log to its end, beginning after this call; calls that come together share one reading.
   *
   * @returns false when a log could not be read, so that nothing may be concluded from what it does not hold
   */
  read(): Promise<boolean> {
    if (!this.#running) return this.#start();
    // The reading under way may have passed a log already, so another one follows it.
    this.#next ??= this.#running
      .catch(() => false)
      .then(() => {
        this.#next = undefined;
        return this.#start();
      });
    return this.#next;
  }

  #start(): Promise<boolean> {
    this.#running = this.#readAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #readAll(): Promise<boolean> {
    const { origin } = this.#parts.registryKeys;
    const registry = await this.#readLog(origin, this.#registryReader);
    if (registry === undefined) return false;
    this.#isFolded ||= registry === "current";
    this.#addLogs();
    const outcomes = await Promise.all(
      [...this.#readers].map(([one, reader]) => this.#readLog(one, reader)),
    );
    return [registry, ...outcomes].every((one) => one === "current" || one === "distrusted");
  }

  async #readLog(origin: string, reader: Reader): Promise<ReadOutcome | undefined> {
    const outcome = await this.#tryLog(origin, reader);
    if (outcome === "distrusted") this.#distrusted.add(origin);
    else if (outcome !== undefined) this.#distrusted.delete(origin);
    return outcome;
  }

  /** Undefined when the ledger does not answer. */
  async #tryLog(origin: string, reader: Reader): Promise<ReadOutcome | undefined> {
    const { witnessStore, alarms, registry } = this.#parts;
    const halt = witnessStore.haltOf(origin);
    const closed = registry.closedLogs.get(origin);
    if (halt?.reason === "closed") return "current";
    try {
      if (halt?.reason === ROLLBACK) await reader.forgot();
      // Nothing is believed of it any more, and there is an alarm that says so.
      if (halt && !closed) return "distrusted";
      if (closed) return await this.#finish(closed, reader);
      const outcome = await reader.read();
      alarms.recover("audit-blind", origin);
      return outcome;
    } catch (error) {
      const code = errorCode(error);
      if (!(error instanceof RemoteError) || code !== "ERR_LEDGER_HALTED") {
        ledgerUnread(this.#parts.events, { log: origin, code });
        return undefined;
      }
      // The other logs go on being judged: the ledger must not be able to mute them with one.
      alarms.raiseState({ kind: "audit-blind", subject: origin, log: origin, detail: { code } });
      return "distrusted";
    }
  }

  /** The operator closed it: what the ledger still shows of it is read, and then nothing is expected of it. */
  async #finish(
    { log: origin, size, root, successor, reason }: ClosedLog,
    reader: { readonly size: number; read(): Promise<ReadOutcome> },
  ): Promise<ReadOutcome> {
    const { witnessStore, alarms, clock } = this.#parts;
    if (!witnessStore.isHalted(origin) && (await readRest(reader)) === "behind") return "behind";
    const held = witnessStore.held(origin);
    // THREAT-06: what was cosigned is what everybody may have seen; less than that takes history back.
    const isCut = size < held.size || (size === held.size && !held.root.equals(root));
    const detail = { size, cosigned: held.size, read: reader.size, successor, reason };
    witnessStore.transaction(() => {
      witnessStore.close(origin, nowSeconds(clock));
      alarms.raise({
        kind: isCut ? "log-cut" : "log-closed",
        subject: origin,
        log: origin,
        detail,
      });
    });
    for (const kind of ["audit-blind", "log-shrunk", "witness-late"] as const)
      alarms.recover(kind, origin);
    return "current";
  }

  #addLogs(): void {
    for (const { log: origin, realm, logKey, writer } of this.#parts.registry.writers.values()) {
      if (this.#readers.has(origin)) continue;
      const keys = { origin, logKey, writer };
      this.#readers.set(origin, issuanceReader({ ...this.#parts, keys, realm }));
    }
    for (const { log: origin, logKey, writer } of this.#parts.registry.brokers.values())
      if (!this.#readers.has(origin)) {
        const keys = { origin, logKey, writer };
        this.#readers.set(origin, grantReader({ ...this.#parts, keys }));
      }
  }
}

/** A ledger that has halted the log will show no more of it. One that does not answer may do so later. */
async function readRest(reader: { read(): Promise<ReadOutcome> }): Promise<ReadOutcome> {
  try {
    return await reader.read();
  } catch (error) {
    if (error instanceof RemoteError && error.code === "ERR_LEDGER_HALTED") return "distrusted";
    throw error;
  }
}

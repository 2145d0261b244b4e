import { errorCode, nowSeconds, type Clock } from "@redoubt/base";
import type { ClosedLog, Registry } from "@redoubt/registry";
import { RemoteError, type Requester } from "@redoubt/wire";
import type { Alarms } from "../alarms/alarms.ts";
import { ledgerUnread, type MonitorLog } from "../events.ts";
import type { IssuedJoin } from "../joins/issued/issued-join.ts";
import type { Claims } from "../witness/claims.ts";
import type { LogKeys } from "../witness/log-keys.ts";
import type { WitnessStore } from "../witness/witness-store.ts";
import type { Witness } from "../witness/witness.ts";
import type { Reading } from "./sight.ts";
import type { FollowStore } from "./follow-store.ts";
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
  readonly log: MonitorLog;
}

type Followed = Pick<LogReader<UnverifiedEntries>, "size" | "read" | "forgot">;

const ROLLBACK = "witness-rollback";
/** For a restart of ledger and signer. */
const CARRY_SECONDS = 30;

/** Reads all logs: first the registry, which says what other logs there are. */
export class Follower {
  readonly #parts: FollowerParts;
  readonly #registry: LogReader<UnverifiedItems>;
  readonly #logs = new Map<string, LogReader<UnverifiedEntries>>();
  #isFolded = false;
  readonly #distrusted = new Set<string>();
  #running: Promise<boolean> | undefined;
  #next: Promise<boolean> | undefined;

  constructor(parts: FollowerParts) {
    this.#parts = parts;
    this.#registry = registryReader({ ...parts, keys: parts.registryKeys });
  }

  /** The registry was read to its end at least once: only then is it known who may report. */
  get isFolded(): boolean {
    return this.#isFolded;
  }

  get sizes(): ReadonlyMap<string, number> {
    const { origin } = this.#parts.registryKeys;
    const logs = [...this.#logs].map(([log, { size }]) => [log, size] as const);
    return new Map([[origin, this.#registry.size] as const, ...logs]);
  }

  /**
   * THREAT-38: whether what is in no log of this realm (of any, where it is not known) may have been logged all the
   * same: the ledger shows less of a log than there was, our own memory of it is an old copy, or it was just closed and
   * its last entries are on their way into the next one. An alarm says so. A ledger that does not answer hides more.
   */
  isHidden(realm: string | undefined): boolean {
    const { registry, registryKeys } = this.#parts;
    if (this.#isLogHidden(registryKeys.origin)) return true;
    const logs = [...registry.writers.values()];
    return logs.some((one) => one.realm === (realm ?? one.realm) && this.#isLogHidden(one.log));
  }

  #isLogHidden(log: string): boolean {
    const { witnessStore, clock } = this.#parts;
    const halt = witnessStore.haltOf(log);
    switch (halt?.reason) {
      case undefined:
        return this.#distrusted.has(log);
      case "closed":
        return nowSeconds(clock) - halt.at < CARRY_SECONDS;
      case ROLLBACK:
        return true;
      default:
        // A fork: nothing of it is waited for.
        return false;
    }
  }

  /** Of all logs together: how far they were read, how far the ledger says that they go, and which are not believed. */
  get progress(): Pick<Reading, "read" | "size" | "distrusted"> {
    const readers = [this.#registry, ...this.#logs.values()];
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
    // The present reading may have passed a log already.
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
    const registry = await this.#readLog(origin, this.#registry);
    if (registry === undefined) return false;
    this.#isFolded ||= registry === "current";
    this.#addLogs();
    const outcomes = await Promise.all(
      [...this.#logs].map(([log, follower]) => this.#readLog(log, follower)),
    );
    return [registry, ...outcomes].every((one) => one === "current" || one === "distrusted");
  }

  async #readLog(log: string, follower: Followed): Promise<ReadOutcome | undefined> {
    const outcome = await this.#tryLog(log, follower);
    if (outcome === "distrusted") this.#distrusted.add(log);
    else if (outcome !== undefined) this.#distrusted.delete(log);
    return outcome;
  }

  /** Undefined when the ledger does not answer. */
  async #tryLog(log: string, follower: Followed): Promise<ReadOutcome | undefined> {
    const { witnessStore, alarms, registry } = this.#parts;
    const halt = witnessStore.haltOf(log);
    const closed = registry.closedLogs.get(log);
    if (halt?.reason === "closed") return "current";
    try {
      if (halt?.reason === ROLLBACK) await follower.forgot();
      // Nothing is believed of it any more, and there is an alarm that says so.
      if (halt && !closed) return "distrusted";
      if (closed) return await this.#finish(closed, follower);
      const outcome = await follower.read();
      alarms.recover("audit-blind", log);
      return outcome;
    } catch (error) {
      const code = errorCode(error);
      if (!(error instanceof RemoteError) || code !== "ERR_LEDGER_HALTED") {
        ledgerUnread(this.#parts.log, { log, code });
        return undefined;
      }
      // The other logs go on being judged: the ledger must not be able to mute them with one.
      alarms.raiseState({ kind: "audit-blind", subject: log, log, detail: { code } });
      return "distrusted";
    }
  }

  /** The operator closed it: what the ledger still shows of it is read, and then nothing is expected of it. */
  async #finish(
    { log, size, root, successor, reason }: ClosedLog,
    follower: { readonly size: number; read(): Promise<ReadOutcome> },
  ): Promise<ReadOutcome> {
    const { witnessStore, alarms, clock } = this.#parts;
    if (!witnessStore.isHalted(log) && (await readRest(follower)) === "behind") return "behind";
    const held = witnessStore.held(log);
    // THREAT-06: what was cosigned is what everybody may have seen; less than that takes history back.
    const isCut = size < held.size || (size === held.size && !held.root.equals(root));
    const detail = { size, cosigned: held.size, read: follower.size, successor, reason };
    witnessStore.transaction(() => {
      witnessStore.close(log, nowSeconds(clock));
      alarms.raise({ kind: isCut ? "log-cut" : "log-closed", subject: log, log, detail });
    });
    for (const kind of ["audit-blind", "log-shrunk", "witness-late"] as const)
      alarms.recover(kind, log);
    return "current";
  }

  #addLogs(): void {
    for (const { log, realm, logKey, writer } of this.#parts.registry.writers.values()) {
      if (this.#logs.has(log)) continue;
      const keys = { origin: log, logKey, writer };
      this.#logs.set(log, issuanceReader({ ...this.#parts, keys, realm }));
    }
  }
}

/** A ledger that has halted the log shows no more of it; one that is away may, later. */
async function readRest(follower: { read(): Promise<ReadOutcome> }): Promise<ReadOutcome> {
  try {
    return await follower.read();
  } catch (error) {
    if (error instanceof RemoteError && error.code === "ERR_LEDGER_HALTED") return "distrusted";
    throw error;
  }
}

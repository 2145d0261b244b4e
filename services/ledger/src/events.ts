import { errorCode, errorLine, type EventClasses, type EventSink } from "@redoubt/base";
import { describeFailure } from "./errors.ts";

export type LedgerEvents = ReturnType<typeof ledgerEvents>;

export const LEDGER_EVENTS = {
  alarm: "security",
  log_opened: "operation",
  log_halted: "security",
  registry_restored: "security",
  root_mismatch: "security",
  body_mismatch: "security",
  compare_and_swap_lost: "security",
  denied: "security",
  storage_failed: "operation",
  write_ahead_log_held: "operation",
  write_ahead_log_short_again: "operation",
  storage_recovered: "operation",
  tiles_failed: "operation",
  tiles_recovered: "operation",
  audited: "operation",
  audit_failed: "operation",
  tile_repaired: "security",
  published_unusable: "security",
  proof_damaged: "security",
  witness_refused: "security",
  witness_failed: "operation",
  cosignature_ahead: "security",
  witness_late: "security",
  witness_back: "security",
} as const satisfies EventClasses;

export type LedgerEvent = keyof typeof LEDGER_EVENTS;

/** Every business event of this process. None holds a statement, a blob or a key. */
export function ledgerEvents(sink: EventSink<LedgerEvent>) {
  return {
    opened: (origin: string, size: number) => sink("log_opened", { log: origin, size }),
    /** Loud: this log takes nothing more until a person has looked. */
    halted: (origin: string, reason: string) => sink("log_halted", { log: origin, reason }),
    /** Statements came back from a copy: `size` entries are there now, `wanted` has the cosigned tree. */
    registryRestored: (origin: string, size: number, wanted: number) =>
      sink("registry_restored", { log: origin, size, wanted }),
    rootMismatch: (origin: string, first: number) => sink("root_mismatch", { log: origin, first }),
    bodyMismatch: (origin: string, first: number) => sink("body_mismatch", { log: origin, first }),
    compareAndSwapLost: (origin: string, size: number) =>
      sink("compare_and_swap_lost", { log: origin, size }),
    storageFailed: (error: unknown, isFatal: boolean) =>
      sink("storage_failed", { ...describeFailure(error), isFatal }),
    /** Somebody reads the database for long: until they end, its write-ahead log grows. */
    walHeld: (isHeld: boolean) =>
      sink(isHeld ? "write_ahead_log_held" : "write_ahead_log_short_again"),
    storageRecovered: () => sink("storage_recovered"),
    denied: (caller: string, op: string, origin: string) =>
      sink("denied", { caller, op, log: origin }),
    tilesFailed: (origin: string, error: unknown) =>
      sink("tiles_failed", { log: origin, code: errorCode(error), message: errorLine(error) }),
    tilesRecovered: (origin: string) => sink("tiles_recovered", { log: origin }),
    audited: (origin: string, size: number) => sink("audited", { log: origin, size }),
    auditFailed: (origin: string, error: unknown) =>
      sink("audit_failed", { log: origin, code: errorCode(error), message: errorLine(error) }),
    /** A file that was durable has changed since: the disk errs, or somebody did it. So it is an alarm. */
    tileDamaged: (origin: string, path: string) =>
      sink("alarm", { kind: "tile-damaged", severity: "warning", log: origin, path }),
    tileRepaired: (origin: string, path: string) => sink("tile_repaired", { log: origin, path }),
    publishedUnusable: (origin: string, error: unknown) =>
      sink("published_unusable", { log: origin, code: errorCode(error) }),
    proofDamaged: (origin: string, error: unknown) =>
      sink("proof_damaged", { log: origin, code: errorCode(error) }),
    witnessRefused: (origin: string, status: number) =>
      sink("witness_refused", { log: origin, status }),
    witnessFailed: (origin: string, error: unknown) =>
      sink("witness_failed", { log: origin, code: errorCode(error), message: errorLine(error) }),
    /** THREAT-37: the witness's date lies too far ahead of this clock; both in POSIX seconds. */
    cosignatureAhead: (origin: string, cosigned: number, now: number) =>
      sink("cosignature_ahead", { log: origin, cosigned, now }),
    witnessLate: (origin: string, seconds: number) =>
      sink("witness_late", { log: origin, seconds }),
    witnessBack: (origin: string) => sink("witness_back", { log: origin }),
  };
}

import { errorCode, errorLine, type EventSink } from "@redoubt/base";
import { describeFailure } from "./errors.ts";

export type LedgerEvents = ReturnType<typeof ledgerEvents>;

/** Every business event of this process. None holds a statement, a blob or a key. */
export function ledgerEvents(log: EventSink) {
  return {
    opened: (origin: string, size: number) => log("log_opened", { log: origin, size }),
    /** Loud: this log takes nothing more until a person has looked. */
    halted: (origin: string, reason: string) => log("log_halted", { log: origin, reason }),
    rootMismatch: (origin: string, first: number) => log("root_mismatch", { log: origin, first }),
    compareAndSwapLost: (origin: string, size: number) =>
      log("compare_and_swap_lost", { log: origin, size }),
    storageFailed: (error: unknown, isFatal: boolean) =>
      log("storage_failed", { ...describeFailure(error), isFatal }),
    /** Somebody reads the database for long: until they end, its write-ahead log grows. */
    walHeld: (isHeld: boolean) =>
      log(isHeld ? "write_ahead_log_held" : "write_ahead_log_short_again"),
    storageRecovered: () => log("storage_recovered"),
    denied: (caller: string, op: string, origin: string) =>
      log("denied", { caller, op, log: origin }),
    tilesFailed: (origin: string, error: unknown) =>
      log("tiles_failed", { log: origin, code: errorCode(error), message: errorLine(error) }),
    tilesRecovered: (origin: string) => log("tiles_recovered", { log: origin }),
    audited: (origin: string, size: number) => log("audited", { log: origin, size }),
    tileRepaired: (origin: string, path: string) => log("tile_repaired", { log: origin, path }),
    publishedUnusable: (origin: string, error: unknown) =>
      log("published_unusable", { log: origin, code: errorCode(error) }),
    proofDamaged: (origin: string, error: unknown) =>
      log("proof_damaged", { log: origin, code: errorCode(error) }),
    witnessRefused: (origin: string, status: number) =>
      log("witness_refused", { log: origin, status }),
    witnessFailed: (origin: string, error: unknown) =>
      log("witness_failed", { log: origin, code: errorCode(error), message: errorLine(error) }),
    /** THREAT-37: the witness dates later than this clock can bear; both in POSIX seconds. */
    cosignatureAhead: (origin: string, cosigned: number, now: number) =>
      log("cosignature_ahead", { log: origin, cosigned, now }),
    witnessLate: (origin: string, seconds: number) => log("witness_late", { log: origin, seconds }),
    witnessBack: (origin: string) => log("witness_back", { log: origin }),
  };
}

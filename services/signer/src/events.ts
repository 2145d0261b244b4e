import { errorCode, errorLine, type EventClasses, type EventSink } from "@redoubt/base";
import type { Lease } from "@redoubt/lease";

export const SIGNER_EVENTS = {
  log_opened: "operation",
  key_made: "security",
  key_state: "security",
  key_retained: "security",
  key_age: "security",
  key_step_failed: "security",
  key_unreadable: "security",
  custody_refused_key: "security",
  custody_audit_failed: "security",
  custody_trouble: "operation",
  custody_back: "operation",
  lease_granted: "security",
  lease_failed: "security",
  reported: "security",
  report_refused: "security",
  log_lost: "security",
  log_back: "security",
  halted: "security",
  registry_void: "security",
  registry_refused: "security",
  witness_trouble: "security",
  witness_back: "security",
  journal_failed: "operation",
  entries_carried: "security",
  ledger_trouble: "operation",
  ledger_back: "operation",
  cosignature_refused: "security",
  cosignature_ahead: "security",
  state_not_kept: "operation",
  // Of the packages of cloud custody, which are loaded on demand.
  kms_retry: "operation",
  kms_key_made: "security",
  kms_key_ended: "security",
  kms_key_abandoned: "security",
  kms_key_left: "security",
} as const satisfies EventClasses;

export type SignerEvent = keyof typeof SIGNER_EVENTS;

/** Every business event of the signer. Never a token, key or secret. */
export interface SignerEvents {
  opened(origin: string, size: number): void;
  keyMade(kid: string, alg: string, custody: string): void;
  keyState(kid: string, from: string, to: string, reason: string): void;
  keyRetained(kid: string, retain: boolean, reason: string): void;
  keyAge(kid: string, level: string, percent: number): void;
  keyStepFailed(code: string): void;
  keyUnreadable(id: string, code: string): void;
  /** Custody holds a key that must not be used. */
  keyRefused(id: string, reason: string): void;
  auditFailed(code: string): void;
  custodyFailure(code: string, reason: string): void;
  custodyBack(): void;
  leaseGranted(lease: Lease): void;
  leaseFailed(error: unknown): void;
  /** A report to the monitor is sent: refusals of one caller and code, or an event; `count` of them at once. */
  reported(report: Readonly<Record<string, string>>, count: number): void;
  reportRefused(code: string): void;
  logLost(code: string): void;
  logBack(): void;
  halted(reason: string): void;
  registryVoid(index: number, code: string): void;
  registryRefused(code: string): void;
  witnessFailure(code: string, reason: string): void;
  witnessBack(): void;
  ledgerFailure(code: string, reason: string): void;
  ledgerBack(): void;
  cosignatureRefused(origin: string, code: string): void;
  /** THREAT-37: the witness's date lies too far ahead of this clock; both in POSIX seconds. */
  cosignatureAhead(origin: string, cosignedSeconds: number, nowSeconds: number): void;
  stateNotKept(code: string): void;
  /** The journal could not be written. Logged once until it works again. */
  journalFailed(code: string): void;
  /** Entries of a closed log that were appended to the one that takes its place. */
  entriesCarried(from: string, count: number): void;
}

export function signerEvents(sink: EventSink<SignerEvent>): SignerEvents {
  return {
    opened: (origin, size) => sink("log_opened", { log: origin, size }),
    keyMade: (kid, alg, custody) => sink("key_made", { kid, alg, custody }),
    keyState: (kid, from, to, reason) => sink("key_state", { kid, from, to, reason }),
    keyRetained: (kid, retain, reason) => sink("key_retained", { kid, retain, reason }),
    keyAge: (kid, level, percent) => sink("key_age", { kid, level, percent }),
    keyStepFailed: (code) => sink("key_step_failed", { code }),
    keyUnreadable: (id, code) => sink("key_unreadable", { id, code }),
    keyRefused: (id, reason) => sink("custody_refused_key", { id, reason }),
    auditFailed: (code) => sink("custody_audit_failed", { code }),
    custodyFailure: (code, reason) => sink("custody_trouble", { code, reason }),
    custodyBack: () => sink("custody_back"),
    leaseGranted: ({ platform, hardware, issued, expires }) =>
      sink("lease_granted", { platform, hardware, issued, expires }),
    leaseFailed: (error) =>
      sink("lease_failed", { code: errorCode(error), reason: errorLine(error) }),
    reported: (report, count) => sink("reported", { ...report, count }),
    reportRefused: (code) => sink("report_refused", { code }),
    logLost: (code) => sink("log_lost", { code }),
    logBack: () => sink("log_back"),
    halted: (reason) => sink("halted", { reason }),
    registryVoid: (index, code) => sink("registry_void", { index, code }),
    registryRefused: (code) => sink("registry_refused", { code }),
    witnessFailure: (code, reason) => sink("witness_trouble", { code, reason }),
    witnessBack: () => sink("witness_back"),
    ledgerFailure: (code, reason) => sink("ledger_trouble", { code, reason }),
    ledgerBack: () => sink("ledger_back"),
    cosignatureRefused: (origin, code) => sink("cosignature_refused", { log: origin, code }),
    cosignatureAhead: (origin, cosigned, now) =>
      sink("cosignature_ahead", { log: origin, cosigned, now }),
    journalFailed: (code) => sink("journal_failed", { code }),
    entriesCarried: (from, count) => sink("entries_carried", { from, count }),
    stateNotKept: (code) => sink("state_not_kept", { code }),
  };
}

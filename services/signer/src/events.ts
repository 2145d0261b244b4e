import type { EventSink } from "@redoubt/base";

/** Every business event of the signer. Never a token, key or secret. */
export interface SignerEvents {
  opened(log: string, size: number): void;
  keyMade(kid: string, alg: string, custody: string): void;
  keyState(kid: string, from: string, to: string, reason: string): void;
  keyStepFailed(code: string): void;
  keyUnreadable(id: string, code: string): void;
  /** Refusals of one kind and stops, as they are told to the monitor; `count` of them at once. */
  reported(report: Readonly<Record<string, string>>, count: number): void;
  reportRefused(code: string): void;
  logLost(code: string): void;
  logBack(): void;
  halted(reason: string): void;
  registryVoid(index: number, code: string): void;
  registryRefused(code: string): void;
  ledgerTrouble(code: string, reason: string): void;
  ledgerBack(): void;
  cosignatureRefused(log: string, code: string): void;
  stateNotKept(code: string): void;
}

export function signerEvents(log: EventSink): SignerEvents {
  return {
    opened: (origin, size) => log("log_opened", { log: origin, size }),
    keyMade: (kid, alg, custody) => log("key_made", { kid, alg, custody }),
    keyState: (kid, from, to, reason) => log("key_state", { kid, from, to, reason }),
    keyStepFailed: (code) => log("key_step_failed", { code }),
    keyUnreadable: (id, code) => log("key_unreadable", { id, code }),
    reported: (report, count) => log("reported", { ...report, count }),
    reportRefused: (code) => log("report_refused", { code }),
    logLost: (code) => log("log_lost", { code }),
    logBack: () => log("log_back"),
    halted: (reason) => log("halted", { reason }),
    registryVoid: (index, code) => log("registry_void", { index, code }),
    registryRefused: (code) => log("registry_refused", { code }),
    ledgerTrouble: (code, reason) => log("ledger_trouble", { code, reason }),
    ledgerBack: () => log("ledger_back"),
    cosignatureRefused: (origin, code) => log("cosignature_refused", { log: origin, code }),
    stateNotKept: (code) => log("state_not_kept", { code }),
  };
}

import type { TpmHash } from "../tpm/algorithms.ts";

/** Who measures: a TPM's PCRs, or the run-time registers of TDX (CCEL). */
export type EventLogKind = "tcg2" | "ccel";

export interface BootEvent {
  /** PCR; in a CCEL log the index there: 1 to 4 for RTMR 0 to 3. */
  readonly register: number;
  /** TCG event type. */
  readonly type: number;
  /** Of the banks that are known here. */
  readonly digests: ReadonlyMap<TpmHash, Buffer>;
  /** What the firmware says was measured. The digest need not cover it. */
  readonly data: Buffer;
  /** From the log of the running system, not of its firmware. */
  readonly isUserspace?: boolean;
}

export interface EventLog {
  readonly kind: EventLogKind;
  readonly events: readonly BootEvent[];
}

/** TCG PC Client Platform Firmware Profile §10.4.1. */
export const EVENT_TYPES = {
  noAction: 0x3,
  separator: 0x4,
  eventTag: 0x6,
  crtmVersion: 0x8,
  ipl: 0xd,
  variableDriverConfig: 0x8000_0001,
  bootServicesApplication: 0x8000_0003,
  efiAction: 0x8000_0007,
} as const;

/** Where each kind of log keeps what firmware and loader measure (PFP §3.3.4; for CCEL the UEFI specification §38.4.1). */
export const REGISTERS: Readonly<
  Record<
    EventLogKind,
    Readonly<Record<"firmware" | "secureBoot" | "bootCode" | "exit", number>> & {
      readonly commandLine: readonly number[];
      readonly sections: number;
    }
  >
> = {
  tcg2: { firmware: 0, secureBoot: 7, bootCode: 4, exit: 5, commandLine: [8, 12], sections: 11 },
  ccel: { firmware: 1, secureBoot: 1, bootCode: 2, exit: 2, commandLine: [3], sections: 3 },
};

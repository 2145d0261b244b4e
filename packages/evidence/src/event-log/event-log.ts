import type { TpmHash } from "../tpm/algorithms.ts";

/** Who measures: a TPM's PCRs, or the run-time registers of TDX (CCEL). */
export type EventLogKind = "tcg2" | "ccel";

export interface BootEvent {
  /** PCR; in a CCEL log the index there: 1 to 4 for RTMR 0 to 3. */
  readonly register: number;
  /** TCG event type, as the log says. Nothing measures it, but that an event without action is not measured. */
  readonly type: number;
  /** Of the banks that are known here. */
  readonly digests: ReadonlyMap<TpmHash, Buffer>;
  /** What the firmware says was measured. The digest need not cover it. */
  readonly data: Buffer;
}

export interface EventLog {
  readonly kind: EventLogKind;
  readonly events: readonly BootEvent[];
}

/** TCG PC Client Platform Firmware Profile §10.4.1. */
export const EVENT_TYPES = {
  noAction: 0x3,
  eventTag: 0x6,
  crtmVersion: 0x8,
  ipl: 0xd,
  efiAction: 0x8000_0007,
} as const;

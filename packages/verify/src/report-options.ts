import type { Schedule } from "./bounded-fetch.ts";

/** Something that a person must look at; the queue goes on. */
export interface ReportAlarm {
  readonly kind:
    | "reportQueueFull"
    | "reportStale"
    | "reportAckInvalid"
    | "reportRefused"
    | "reportItemRefused"
    | "reportLost"
    | "auditBlind";
  /** Items that wait, or that were lost or refused so far. */
  readonly items: number;
  /** The first of the refused items; the monitor does not know of them if there is a `status`. */
  readonly digests?: readonly string[];
  /** HTTP status of the refusal. */
  readonly status?: number;
  /** Of `auditBlind`: how long the monitor, by its own word, has not seen all that the logs hold. */
  readonly seconds?: number;
}

export interface ReportQueueOptions {
  /** Base address of the monitor: https, or http on loopback. */
  readonly url: string;
  readonly reporter: string;
  readonly secret: string;
  /** The monitor's acknowledgement key: verifier key or base64url. */
  readonly ackKey: string;
  readonly onAlarm: (alarm: ReportAlarm) => void;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly fetch?: typeof fetch;
  /** Time between reports; default and most 5000. */
  readonly intervalMs?: number;
  /** Items that may wait; default 100000. */
  readonly maxItems?: number;
  /** Bytes of signatures that are kept for the monitor's questions, about; default 64 MiB. */
  readonly maxEvidenceBytes?: number;
  /** For tests: what runs a task later, and a number from 0 to 1. */
  readonly schedule?: Schedule;
  readonly random?: () => number;
}

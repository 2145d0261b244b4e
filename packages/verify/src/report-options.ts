import type { Schedule } from "./bounded-fetch.ts";

/**
 * Something that a person must look at; the queue goes on. Each kind is raised once, and again only after the monitor
 * has
 * acknowledged a report in between.
 *
 * - `reportQueueFull`: `maxItems` wait; a token that was accepted is not reported
 * - `reportStale`: no report was acknowledged for 15 minutes
 * - `reportAckInvalid`: the answer is not the monitor's signed acknowledgement of this report
 * - `reportRefused`: the monitor refused a whole report or its counts, with `status`
 * - `reportItemRefused`: the monitor cannot take the items in `digests`; they are not sent again
 * - `reportLost`: the queue was closed, and items were not acknowledged before or came later
 * - `auditBlind`: the monitor has not read all logs for `seconds`: it would not notice a forged token within the minute
 */
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
  /** Of `reportItemRefused`: the first 16 digests. With a `status` the monitor has not kept even these. */
  readonly digests?: readonly string[];
  /** HTTP status of the refusal. */
  readonly status?: number;
  /** Of `auditBlind`: how long the monitor, by its own word, has not seen all that the logs hold. */
  readonly seconds?: number;
}

export interface ReportQueueOptions {
  /** Base address of the monitor: https, or http on loopback. */
  readonly url: string;
  /** The name under which `redoubt reporters add` registered this verifier. */
  readonly reporter: string;
  /** What that command printed: the seed of the key that signs reports, 32 bytes as base64url. */
  readonly secret: string;
  /** The monitor's acknowledgement key: verifier key or base64url. */
  readonly ackKey: string;
  readonly onAlarm: (alarm: ReportAlarm) => void;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly fetch?: typeof fetch;
  /** Time between reports; default 5000, from 1 to 5000. */
  readonly intervalMs?: number;
  /** Items that may wait; default 100000. */
  readonly maxItems?: number;
  /** Memory, by estimate, for signatures kept for ten minutes in case the monitor asks for evidence; default 64 MiB. */
  readonly maxEvidenceBytes?: number;
  /** For tests: what runs a task later, and a number from 0 to 1. */
  readonly schedule?: Schedule;
  readonly random?: () => number;
}

import { errorCode, errorLine, type EventClasses, type EventSink } from "@redoubt/base";
import { EvidenceError } from "@redoubt/evidence";
import type { Lease } from "@redoubt/lease";

export const BROKER_EVENTS = {
  lease_granted: "security",
  lease_denied: "security",
} as const satisfies EventClasses;

export type BrokerEvent = keyof typeof BROKER_EVENTS;

/** Every business event of a broker. */
export interface BrokerEvents {
  granted(lease: Lease, index: number): void;
  denied(caller: string, error: unknown): void;
}

export function brokerEvents(sink: EventSink<BrokerEvent>): BrokerEvents {
  return {
    granted: ({ realm, signer, platform, hardware, expires }, index) =>
      sink("lease_granted", { realm, signer, platform, hardware, expires, index }),
    denied: (caller, error) =>
      sink("lease_denied", {
        caller,
        code: errorCode(error),
        reason: errorLine(error),
        ...(error instanceof EvidenceError && {
          part: error.part,
          refusals: error.refusals?.map(({ claim }) => claim),
        }),
      }),
  };
}

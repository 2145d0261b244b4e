import { errorCode, type EventClasses, type EventSink } from "@redoubt/base";
import type { Lease } from "@redoubt/lease";

export const GATEWAY_EVENTS = {
  lease_begun: "security",
  lease_refused: "security",
  clock_behind: "security",
  time_not_kept: "operation",
  key_made: "security",
  key_destroyed: "security",
  custody_failed: "operation",
} as const satisfies EventClasses;

export type GatewayEvent = keyof typeof GATEWAY_EVENTS;

/** Every business event of a custody gateway. */
export interface GatewayEvents {
  begun(lease: Lease, index: number): void;
  refused(error: unknown): void;
  clockBehind(seconds: number): void;
  notRemembered(error: unknown): void;
  keyMade(id: string): void;
  keyDestroyed(id: string): void;
  custodyFailed(code: string): void;
}

export function gatewayEvents(sink: EventSink<GatewayEvent>): GatewayEvents {
  return {
    begun: ({ platform, hardware, expires }, index) =>
      sink("lease_begun", { platform, hardware, expires, index }),
    refused: (error) => sink("lease_refused", { code: errorCode(error) }),
    notRemembered: (error) => sink("time_not_kept", { code: errorCode(error) }),
    clockBehind: (seconds) => sink("clock_behind", { seconds }),
    keyMade: (id) => sink("key_made", { id }),
    keyDestroyed: (id) => sink("key_destroyed", { id }),
    custodyFailed: (code) => sink("custody_failed", { code }),
  };
}

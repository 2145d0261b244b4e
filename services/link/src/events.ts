import { errorCode, ServiceError, type EventClasses, type EventSink } from "@redoubt/base";
import type { Pair } from "./first-line.ts";

export const LINK_EVENTS = {
  // Whoever reaches the port can cause it.
  stranger_refused: "stranger",
  peer_refused: "security",
  peer_connected: "security",
  dial_failed: "security",
  service_failed: "operation",
  listener_failed: "operation",
} as const satisfies EventClasses;

export type LinkEvent = keyof typeof LINK_EVENTS;

/** Every business event of a link. Never what passes through it. */
export interface LinkEvents {
  /** Somebody who has proved no pinned key. */
  strangerRefused(error: unknown): void;
  /** A peer that proved its key, and did or wanted what it may not. */
  peerRefused(peer: string, error: unknown): void;
  peerConnected(peer: string, pair: Pair): void;
  /** This machine's caller did not get to the other machine. */
  dialFailed(peer: string, pair: Pair, error: unknown): void;
  /** The peer was let in, and the service's socket is not there. */
  serviceFailed(pair: Pair, error: unknown): void;
  listenerFailed(error: unknown): void;
}

export function linkEvents(sink: EventSink<LinkEvent>): LinkEvents {
  return {
    strangerRefused: (error) => sink("stranger_refused", fieldsOf(error)),
    peerRefused: (peer, error) => sink("peer_refused", { peer, ...fieldsOf(error) }),
    peerConnected: (peer, pair) => sink("peer_connected", { peer, ...pair }),
    dialFailed: (peer, pair, error) => sink("dial_failed", { peer, ...pair, ...fieldsOf(error) }),
    serviceFailed: (pair, error) => sink("service_failed", { ...pair, ...fieldsOf(error) }),
    listenerFailed: (error) => sink("listener_failed", fieldsOf(error)),
  };
}

function fieldsOf(error: unknown): Readonly<Record<string, unknown>> {
  return { ...(error instanceof ServiceError ? error.fields : {}), code: errorCode(error) };
}

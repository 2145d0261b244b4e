import type { EventClasses } from "@redoubt/base";

/** What a socket's server says. Who reaches it has a folder that is closed to strangers. */
export const WIRE_EVENTS = {
  connection_refused: "security",
  request_refused: "security",
  socket_error: "operation",
  internal_error: "operation",
} as const satisfies EventClasses;

export type WireEvent = keyof typeof WIRE_EVENTS;

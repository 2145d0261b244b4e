import type { EventClasses } from "@redoubt/base";

/** Events of a socket's server. None is of class `stranger`: only who can enter a closed folder can cause them. */
export const WIRE_EVENTS = {
  connection_refused: "security",
  request_refused: "security",
  socket_error: "operation",
  internal_error: "operation",
} as const satisfies EventClasses;

export type WireEvent = keyof typeof WIRE_EVENTS;

import type { EventClasses } from "@redoubt/base";

/** Events of an HTTP server. Most are of class `stranger`: anybody may be at the other end. */
export const HTTP_EVENTS = {
  connections_full: "stranger",
  connections_free: "stranger",
  internal_error: "stranger",
  certificate_changed: "operation",
  certificate_refused: "operation",
  certificate_ends: "operation",
} as const satisfies EventClasses;

export type HttpEvent = keyof typeof HTTP_EVENTS;

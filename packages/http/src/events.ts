import type { EventClasses } from "@redoubt/base";

/** Events of an HTTP server. All are of class `stranger`: anybody may be at the other end. */
export const HTTP_EVENTS = {
  connections_full: "stranger",
  connections_free: "stranger",
  internal_error: "stranger",
} as const satisfies EventClasses;

export type HttpEvent = keyof typeof HTTP_EVENTS;

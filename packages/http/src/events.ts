import type { EventClasses } from "@redoubt/base";

/** What an HTTP server says: anybody may be at its other end. */
export const HTTP_EVENTS = {
  connections_full: "stranger",
  connections_free: "stranger",
  internal_error: "stranger",
} as const satisfies EventClasses;

export type HttpEvent = keyof typeof HTTP_EVENTS;

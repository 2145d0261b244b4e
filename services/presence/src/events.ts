import type { EventClasses, EventSink } from "@redoubt/base";

export const PRESENCE_EVENTS = {
  statement_shown: "security",
  statement_refused: "security",
  assertion_collected: "security",
  // Whoever has the address of a page makes one.
  assertion_refused: "stranger",
  statement_declined: "security",
} as const satisfies EventClasses;

export type PresenceEvent = keyof typeof PRESENCE_EVENTS;

/** A statement by what a log may hold of it: never its id, which leads to the page, nor its challenge. */
interface Shown {
  readonly caller: string;
  readonly action: string;
  readonly code: string;
}

/** Every business event of the ceremony page. */
export interface PresenceEvents {
  shown(what: Shown): void;
  refused(caller: string, code: string): void;
  collected(what: Shown, count: number): void;
  assertionRefused(part: string): void;
  declined(what: Shown): void;
}

export function presenceEvents(sink: EventSink<PresenceEvent>): PresenceEvents {
  return {
    shown: ({ caller, action, code }) => sink("statement_shown", { caller, action, code }),
    refused: (caller, code) => sink("statement_refused", { caller, code }),
    collected: ({ caller, action, code }, count) =>
      sink("assertion_collected", { caller, action, code, count }),
    assertionRefused: (part) => sink("assertion_refused", { part }),
    declined: ({ caller, action, code }) => sink("statement_declined", { caller, action, code }),
  };
}

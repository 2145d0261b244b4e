import type { EventClasses, EventSink } from "@redoubt/base";

export const KUBE_FRONT_EVENTS = {
  call_refused: "security",
} as const satisfies EventClasses;

export type KubeFrontEvent = keyof typeof KUBE_FRONT_EVENTS;

/** Every business event of the front. Never a token or its claims. */
export interface KubeFrontEvents {
  callRefused(method: string, code: string): void;
}

export function kubeFrontEvents(sink: EventSink<KubeFrontEvent>): KubeFrontEvents {
  return {
    callRefused: (method, code) => sink("call_refused", { method, code }),
  };
}

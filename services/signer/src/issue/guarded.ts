import type { Call, Route } from "@redoubt/wire";

/** A route before which something is checked: nothing of the request was read by then but its name. */
export function guarded(check: (call: Call) => void, inner: Route): Route {
  return {
    op: inner.op,
    handle: async (call) => {
      check(call);
      return inner.handle(call);
    },
  };
}

import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import type { Handler, Requester } from "@redoubt/wire";

/** A service without a socket: what is said goes through the form in which it would be sent. */
export function requesterOf(handler: Handler, caller = "operator"): Requester {
  return {
    request: async (asked, bytes = Buffer.alloc(0)) => {
      const { op = "", ...head } = sent(asked);
      if (typeof op !== "string") throw new TypeError("An operation is named by a text");
      const answer = await handler({ caller, op, head, attachment: Buffer.from(bytes) });
      return {
        head: sent(answer.head),
        attachment: Buffer.from(answer.attachment ?? []),
      };
    },
  };
}

function sent(head: object): JsonObject {
  return parseJsonObject(JSON.stringify(head), { maxBytes: 4 * 1024 * 1024 });
}

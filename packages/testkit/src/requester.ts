import { ServiceError } from "@redoubt/base";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { RemoteError, type Handler, type Requester } from "@redoubt/wire";

/** A service without a socket: what is said goes through the form in which it would be sent. */
export function requesterOf(handler: Handler, caller = "operator"): Requester {
  return {
    request: async (asked, bytes = Buffer.alloc(0)) => {
      const { op = "", ...head } = sent(asked);
      if (typeof op !== "string") throw new TypeError("An operation is named by a text");
      const call = { caller, op, head, attachment: Buffer.from(bytes) };
      const answer = await asArrived(async () => handler(call));
      return {
        head: sent(answer.head),
        attachment: Buffer.from(answer.attachment ?? []),
      };
    },
  };
}

/** What a service refuses with reaches the caller as a refusal from elsewhere. */
async function asArrived<T>(answer: () => Promise<T>): Promise<T> {
  try {
    return await answer();
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw new RemoteError(error.code, error.message, error.fields);
  }
}

function sent(head: object): JsonObject {
  return parseJsonObject(JSON.stringify(head), { maxBytes: 4 * 1024 * 1024 });
}

import { ServiceError } from "@redoubt/base";
import type { Assertion } from "@redoubt/presence";
import { PRESENCE, route, routesByName, type Handler } from "@redoubt/wire";
import type { Ceremonies } from "./ceremonies.ts";

/** The sockets of those who have statements shown (docs/spec/wire.md §10). */
export function presenceHandler(ceremonies: Ceremonies, origin: string): Handler {
  const routes = routesByName([
    route(PRESENCE.open, (request, { caller }) => {
      const { id, opened } = ceremonies.open(caller, request);
      return { id, url: `${origin}/${id}`, code: opened.code };
    }),
    route(PRESENCE.collect, async (request, { caller }) => {
      const { state, assertions } = await ceremonies.collect(caller, request);
      return { state, assertions: assertions.map((one) => asBytes(one)) };
    }),
    route(PRESENCE.close, ({ id }, { caller }) => {
      ceremonies.close(caller, id);
      return {};
    }),
  ]);
  return (call) => {
    const found = routes.get(call.op);
    if (!found) throw new ServiceError("ERR_PRESENCE_OP", "Presence: unknown operation");
    return found.handle(call);
  };
}

function asBytes({ credentialId, clientDataJSON, authenticatorData, signature }: Assertion) {
  return {
    credentialId,
    clientDataJSON: Buffer.from(clientDataJSON),
    authenticatorData: Buffer.from(authenticatorData),
    signature: Buffer.from(signature),
  };
}

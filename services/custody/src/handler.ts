import { ServiceError } from "@redoubt/base";
import type { CustodyKey } from "@redoubt/custody";
import { CUSTODY, type Handler, route, routesByName } from "@redoubt/wire";
import type { GatewayEvents } from "./events.ts";
import type { HeldKeys } from "./held-keys.ts";
import type { LeaseSessions } from "./lease-sessions.ts";

export interface GatewayParts {
  readonly sessions: LeaseSessions;
  readonly keys: HeldKeys;
  readonly events: Pick<GatewayEvents, "keyMade" | "keyDestroyed">;
}

/** P5: the lease is checked at each use, before anything else is done. */
export function gatewayHandler({ sessions, keys, events }: GatewayParts): Handler {
  const routes = routesByName([
    route(CUSTODY.challenge, () => ({ challenge: sessions.challenge() })),
    route(CUSTODY.begin, async ({ challenge, grant, proof }) => {
      const begun = sessions.begin(challenge, grant, proof);
      return { ...begun, label: (await keys.custodian()).label };
    }),
    route(CUSTODY.generate, async ({ session, alg }) => {
      sessions.check(session);
      const key = await (await keys.custodian()).generate(alg);
      events.keyMade(key.id);
      return shown(key);
    }),
    route(CUSTODY.open, async ({ session, id }) => {
      sessions.check(session);
      return shown(await keys.key(id));
    }),
    route(CUSTODY.list, async ({ session }) => {
      sessions.check(session);
      return { ids: await (await keys.custodian()).list() };
    }),
    route(CUSTODY.destroy, async ({ session, id }) => {
      sessions.check(session);
      await (await keys.custodian()).destroy(id);
      keys.forget(id);
      events.keyDestroyed(id);
      return {};
    }),
    route(CUSTODY.audit, async ({ session }) => {
      sessions.check(session);
      const refused = (await (await keys.custodian()).audit?.()) ?? [];
      for (const { id } of refused) keys.forget(id);
      return { refused };
    }),
  ]);
  return async (call) => {
    if (call.op === CUSTODY.sign.op) {
      const { session, id } = CUSTODY.sign.request.read(call.head);
      sessions.check(session);
      const key = await keys.key(id);
      // Opening may have taken a while.
      sessions.check(session);
      return { head: {}, attachment: await key.sign(call.attachment) };
    }
    const found = routes.get(call.op);
    if (!found) throw new ServiceError("ERR_CUSTODY_OP", "Custody gateway: unknown operation");
    return found.handle(call);
  };
}

function shown({ id, alg, publicJwk }: CustodyKey) {
  return { id, alg, publicJwk };
}

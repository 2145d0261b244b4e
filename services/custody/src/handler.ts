import { ServiceError } from "@redoubt/base";
import type { Custodian, CustodyKey } from "@redoubt/custody";
import {
  CUSTODY,
  type Handler,
  type Operation,
  route,
  type Route,
  routesByName,
  routeWithBytes,
} from "@redoubt/wire";
import type { GatewayEvents } from "./events.ts";
import type { HeldKeys } from "./held-keys.ts";
import type { LeaseSessions } from "./lease-sessions.ts";

export interface GatewayParts {
  readonly sessions: LeaseSessions;
  readonly keys: HeldKeys;
  readonly events: Pick<GatewayEvents, "keyMade" | "keyDestroyed">;
}

/**
 * P5: every operation that names a session has its lease checked before anything else is done, and again before it is
 * answered: custody may have taken a while.
 */
export function gatewayHandler({ sessions, keys, events }: GatewayParts): Handler {
  const leased = <Q extends { readonly session: Buffer }, A>(
    operation: Operation<Q, A>,
    handle: (custodian: Custodian, request: Q) => Promise<A>,
  ): Route =>
    route(operation, async (request) => {
      sessions.check(request.session);
      const answer = await handle(await keys.custodian(), request);
      sessions.check(request.session);
      return answer;
    });
  const routes = routesByName([
    route(CUSTODY.challenge, () => ({ challenge: sessions.challenge() })),
    route(CUSTODY.begin, async ({ challenge, grant, proof }) => {
      const begun = sessions.begin(challenge, grant, proof);
      return { ...begun, label: (await keys.custodian()).label };
    }),
    routeWithBytes(CUSTODY.sign, async ({ session, id }, { attachment }) => {
      sessions.check(session);
      const key = await keys.key(id);
      // Opening may have taken a while.
      sessions.check(session);
      return { answer: {}, attachment: await key.sign(attachment) };
    }),
    leased(CUSTODY.generate, async (custodian, { alg }) => {
      const key = await keys.generate(custodian, alg);
      events.keyMade(key.id);
      return shown(key);
    }),
    leased(CUSTODY.open, async (_, { id }) => shown(await keys.key(id))),
    leased(CUSTODY.list, async (custodian) => ({ ids: await custodian.list() })),
    leased(CUSTODY.destroy, async (custodian, { id }) => {
      await custodian.destroy(id);
      keys.forget(id);
      events.keyDestroyed(id);
      return {};
    }),
    leased(CUSTODY.audit, async (custodian) => {
      const refused = (await custodian.audit?.()) ?? [];
      for (const { id } of refused) keys.forget(id);
      return { refused };
    }),
  ]);
  return (call) => {
    const found = routes.get(call.op);
    if (!found) throw new ServiceError("ERR_CUSTODY_OP", "Custody gateway: unknown operation");
    return found.handle(call);
  };
}

function shown({ id, alg, publicJwk }: CustodyKey) {
  return { id, alg, publicJwk };
}

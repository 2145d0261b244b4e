import { randomUUID } from "node:crypto";
import { checkPrivateFolder, type Clock, type EventSink, type Service } from "@redoubt/base";
import { serveEverywhere, type HttpEvent, type HttpLimits } from "@redoubt/http";
import {
  readSocketSecret,
  samplesOf,
  serveSocket,
  socketPlace,
  type WireEvent,
} from "@redoubt/wire";
import { Ceremonies } from "./ceremonies.ts";
import type { PresenceConfig } from "./config.ts";
import { presenceEvents, type PresenceEvent } from "./events.ts";
import { presenceHandler } from "./handler.ts";
import { Web } from "./web.ts";

export interface PresenceOptions {
  readonly config: PresenceConfig;
  /** This process's own folder. */
  readonly folder: string;
  /** Data folder, "" for the working directory. */
  readonly root: string;
  readonly clock: Clock;
  readonly sink: EventSink<PresenceEvent | HttpEvent | WireEvent>;
  readonly httpLimits?: Partial<HttpLimits>;
}

export interface Presence extends Service {
  readonly port: number;
}

const SERVICE = "presence";
/** Of one caller, requests and those that wait; each ceremony has one that waits. */
const MAX_IN_FLIGHT = 64;

/** Wires the ceremony page. It has no key, no store and no enrolments: it can withhold, and nothing else. */
export async function openPresence(options: PresenceOptions): Promise<Presence> {
  const { config, folder, root, clock, sink } = options;
  // THREAT-32.
  checkPrivateFolder(folder);
  await using stack = new AsyncDisposableStack();
  const { rpId, origin } = config;
  const ceremonies = new Ceremonies({ rpId, origin, clock, events: presenceEvents(sink) });
  const web = new Web(ceremonies, config);
  const server = stack.use(
    await serveEverywhere(config.http, {
      handler: (request) => web.handle(request),
      sink,
      ready: () => true,
      ...(options.httpLimits ? { limits: options.httpLimits } : {}),
    }),
  );
  const handler = presenceHandler(ceremonies, origin);
  for (const caller of config.callers) {
    const place = socketPlace(root, SERVICE, caller);
    const secret = readSocketSecret(place);
    stack.use(
      // oxlint-disable-next-line no-await-in-loop -- a few sockets, in order
      await serveSocket({
        path: place.path,
        secret,
        caller,
        service: SERVICE,
        instance: randomUUID(),
        handler,
        sink,
        maxInFlight: MAX_IN_FLIGHT,
      }),
    );
  }
  // First to go: whoever waits for an approval hears at once that there will be none from this run.
  stack.use(ceremonies);
  const owned = stack.move();
  return {
    port: server.port,
    status: () => ({ ready: true, shown: ceremonies.size, http: server.counts() }),
    metrics: () => {
      const { unproven, named, evicted } = server.counts();
      return samplesOf({
        redoubt_presence_statements_shown: ceremonies.size,
        redoubt_http_connections: unproven + named,
        redoubt_http_connections_evicted_total: evicted,
      });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { checkPrivateFolder, type Clock, type EventSink, type Service } from "@redoubt/base";
import { type Custodian, openCustodian } from "@redoubt/custody";
import { readSocketSecret, serveSocket, socketPlace, type WireEvent } from "@redoubt/wire";
import type { GatewayConfig } from "./config.ts";
import { gatewayEvents, type GatewayEvent } from "./events.ts";
import { gatewayHandler } from "./handler.ts";
import { HeldKeys } from "./held-keys.ts";
import { KEYS_FOLDER } from "./keys-folder.ts";
import { LeaseSessions } from "./lease-sessions.ts";
import { TimeFloor } from "./time-floor.ts";

export interface GatewayOptions {
  readonly config: GatewayConfig;
  /** This process's own folder. */
  readonly folder: string;
  /** Data folder, "" for the working directory. */
  readonly root: string;
  readonly service: string;
  readonly clock: Clock;
  readonly sink: EventSink<GatewayEvent | WireEvent>;
  /** Replaced by tests; default: what the configuration names. */
  readonly custodian?: () => Promise<Custodian>;
  /** Called whenever custody is open: its native code is loaded, and no other may be. */
  readonly onCustodyLoaded?: () => void;
}

/** Wires one gateway: one process, one realm's keys, one caller. */
export async function openGateway(options: GatewayOptions): Promise<Service> {
  const { config, folder, root, service, clock, sink } = options;
  // THREAT-32.
  checkPrivateFolder(folder);
  const events = gatewayEvents(sink);
  const { custodian = () => openCustodian(config.custody, join(folder, KEYS_FOLDER), { clock }) } =
    options;
  await using stack = new AsyncDisposableStack();
  const keys = stack.use(
    new HeldKeys({
      open: custodian,
      clock,
      events,
      onLoaded: options.onCustodyLoaded ?? (() => undefined),
    }),
  );
  const floor = new TimeFloor(join(folder, "state.json"), config.log.origin);
  const sessions = new LeaseSessions({ ...config, clock, floor, events });
  const place = socketPlace(root, service, config.signer);
  stack.use(
    await serveSocket({
      path: place.path,
      secret: readSocketSecret(place),
      caller: config.signer,
      service,
      instance: randomUUID(),
      handler: gatewayHandler({ sessions, keys, events }),
      sink,
    }),
  );
  const owned = stack.move();
  return {
    status: () => ({ realm: config.realm, ...sessions.state }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

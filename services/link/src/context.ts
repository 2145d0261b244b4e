import { checkPrivateFolder, type EventSink, type Service } from "@redoubt/base";
import type { WireEvent } from "@redoubt/wire";
import type { LinkConfig } from "./config.ts";
import { Dialer } from "./dialer.ts";
import { linkError } from "./errors.ts";
import { linkEvents, type LinkEvent } from "./events.ts";
import { openIdentity } from "./identity.ts";
import { LINK_LIMITS, type LinkLimits } from "./limits.ts";
import { Listener } from "./listener.ts";

export interface LinkOptions {
  readonly config: LinkConfig;
  /** This process's own folder. */
  readonly folder: string;
  /** Data folder, "" for the working directory. */
  readonly root: string;
  readonly sink: EventSink<LinkEvent | WireEvent>;
  /** Replaced by tests only. */
  readonly limits?: Partial<LinkLimits>;
}

export interface Link extends Service {
  /** Where peers come in; null where nobody does. */
  readonly port: number | null;
}

/**
 * Wires the link. It has no rights of its own, and sees what it carries: whoever owns it has those of the callers for
 * which it connects (docs/spec/wire.md §9).
 */
export async function openLink(options: LinkOptions): Promise<Link> {
  const { config, folder, root, sink } = options;
  // THREAT-32.
  checkPrivateFolder(folder);
  const identity = openIdentity(folder, config.identity);
  // Whoever has this link's key could pass for both ends of a connection.
  const twin = config.peers.find(({ pins }) => pins.includes(identity.pin));
  if (twin) throw linkError("ERR_LINK_KEY", `Peer ${twin.name} has the key of this link itself`);
  const shared = {
    identity,
    root,
    limits: { ...LINK_LIMITS, ...options.limits },
    events: linkEvents(sink),
  };
  await using stack = new AsyncDisposableStack();
  const dialers = config.connect.map((connect) =>
    stack.use(new Dialer({ ...shared, connect, sink })),
  );
  const listener = config.listen
    ? stack.use(new Listener({ ...shared, address: config.listen, peers: config.peers }))
    : null;
  await Promise.all([...(listener ? [listener] : []), ...dialers].map((end) => end.listen()));
  const owned = stack.move();
  return {
    port: listener?.port ?? null,
    status: () => ({
      pin: identity.pin,
      peers: listener?.counts() ?? {},
      connections: dialers.reduce((sum, { connections }) => sum + connections, 0),
    }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

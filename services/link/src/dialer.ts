import { createServer, type Server, type Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import type { EventSink } from "@redoubt/base";
import { listenAtPlace, socketPlace, type WireEvent } from "@redoubt/wire";
import type { Connect } from "./config.ts";
import { linkError } from "./errors.ts";
import type { LinkEvents } from "./events.ts";
import { encodeFirstLine } from "./first-line.ts";
import type { Identity } from "./identity.ts";
import type { LinkLimits } from "./limits.ts";
import { splice } from "./splice.ts";
import { provenPin, tlsOptions } from "./tls.ts";

export interface DialerOptions {
  readonly connect: Connect;
  readonly identity: Identity;
  /** Data folder with the callers' sockets. */
  readonly root: string;
  readonly limits: LinkLimits;
  readonly events: LinkEvents;
  readonly sink: EventSink<WireEvent>;
}

/** The end on the caller's machine: stands at the place of the service's socket, and dials for each connection. */
export class Dialer implements AsyncDisposable {
  readonly #options: DialerOptions;
  readonly #server: Server;
  readonly #locals = new Set<Socket>();

  constructor(options: DialerOptions) {
    this.#options = options;
    const { limits, events, connect: pair } = options;
    this.#server = createServer(
      { allowHalfOpen: true, pauseOnConnect: true },
      (local) => void this.#carry(local),
    );
    this.#server.maxConnections = limits.maxPerSocket;
    this.#server.on("drop", () =>
      events.dialFailed(
        pair.peer.name,
        pairOf(pair),
        linkError("ERR_LINK_FULL", "Caller has too many connections"),
      ),
    );
  }

  /** @throws ServiceError `ERR_SOCKET_PATH`, `ERR_FILE_*` for a folder that is not closed to others */
  async listen(): Promise<void> {
    const {
      root,
      sink,
      connect: { service, caller },
    } = this.#options;
    const { path } = socketPlace(root, service, caller);
    await listenAtPlace(this.#server, { path, caller, sink });
  }

  get connections(): number {
    return this.#locals.size;
  }

  /** Never throws. A caller whose connection is closed comes back by itself. */
  async #carry(local: Socket): Promise<void> {
    local.on("error", () => local.destroy());
    local.on("close", () => this.#locals.delete(local));
    this.#locals.add(local);
    const { connect: pair, events } = this.#options;
    try {
      const remote = await dial(this.#options, local);
      remote.write(encodeFirstLine(pair));
      splice(local, remote);
    } catch (error) {
      local.destroy();
      events.dialFailed(pair.peer.name, pairOf(pair), error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const local of this.#locals) local.destroy();
    await promise;
  }
}

function pairOf({ service, caller }: Connect): {
  readonly service: string;
  readonly caller: string;
} {
  return { service, caller };
}

/** A connection to the peer, which has proved a key with one of its pins; given up when the caller leaves. */
async function dial(
  { connect: { peer }, identity, limits }: DialerOptions,
  local: Socket,
): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({
    ...tlsOptions(identity),
    ...peer.address,
    // Neither names nor authorities count (see tlsOptions); and nobody on the way need know whom we look for.
    servername: "",
    checkServerIdentity: () => undefined,
  });
  const timer = setTimeout(
    () => socket.destroy(linkError("ERR_LINK_HANDSHAKE", "No handshake in time")),
    limits.handshakeMs,
  );
  // Stays attached: once it is connected, an error is its end and nothing else.
  socket.on("error", reject);
  socket.on("close", () => reject(linkError("ERR_LINK_HANDSHAKE", "Peer closed the connection")));
  socket.on("secureConnect", resolve);
  const leave = (): void => void socket.destroy();
  local.on("close", leave);
  try {
    await promise;
    const pin = provenPin(socket);
    if (peer.pins.includes(pin)) return socket;
    throw linkError("ERR_LINK_PEER", "Pin is not the peer's", { fields: { pin } });
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    local.off("close", leave);
  }
}

import { connect, type AddressInfo, type Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { checkPrivateFolder, errorCode } from "@redoubt/base";
import { socketPlace } from "@redoubt/wire";
import type { Address, Peer } from "./config.ts";
import { linkError } from "./errors.ts";
import type { LinkEvents } from "./events.ts";
import { readFirstLine, samePair, type Pair } from "./first-line.ts";
import type { Identity } from "./identity.ts";
import type { LinkLimits } from "./limits.ts";
import { splice } from "./splice.ts";
import { provenPin, tlsOptions } from "./tls.ts";

export interface ListenerOptions {
  readonly address: Address;
  readonly identity: Identity;
  readonly peers: readonly Peer[];
  /** Data folder with the services' sockets. */
  readonly root: string;
  readonly limits: LinkLimits;
  readonly events: LinkEvents;
}

/** The end on the service's machine: lets pinned peers in, each to its own services' sockets. */
export class Listener implements AsyncDisposable {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  /** Connections that have not proved a key yet, by remote address, oldest first. */
  readonly #unproven = new Map<string, Socket>();
  readonly #connections = new Map<string, Set<TLSSocket>>();

  constructor(options: ListenerOptions) {
    this.#options = options;
    const { identity, limits, events, peers } = options;
    for (const { name } of peers) this.#connections.set(name, new Set());
    this.#server = createServer({
      ...tlsOptions(identity),
      requestCert: true,
      handshakeTimeout: limits.handshakeMs,
    });
    this.#server.on("connection", (socket: Socket) => this.#arrive(socket));
    this.#server.on("secureConnection", (socket) => void this.#serve(socket));
    this.#server.on("tlsClientError", (cause, socket) => {
      socket.destroy();
      const fields = { reason: errorCode(cause) };
      events.strangerRefused(
        linkError("ERR_LINK_HANDSHAKE", "Handshake failed", { cause, fields }),
      );
    });
  }

  async listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Stays attached: an accept that fails later, for want of file descriptors, must not end the process.
    this.#server.on("error", (error) => {
      this.#options.events.listenerFailed(error);
      reject(error);
    });
    this.#server.listen(this.#options.address, resolve);
    await promise;
  }

  get port(): number {
    const address: AddressInfo | string | null = this.#server.address();
    return typeof address === "object" && address ? address.port : 0;
  }

  /** Connections by peer. */
  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#connections].map(([name, open]) => [name, open.size]));
  }

  // THREAT-36: strangers share a bounded number of places, and the oldest gives way. A peer proves its key at once.
  #arrive(socket: Socket): void {
    const name = remoteOf(socket);
    const [oldest] = this.#unproven;
    if (oldest && this.#unproven.size >= this.#options.limits.maxUnproven) {
      // Its end comes later than the next connection may.
      this.#unproven.delete(oldest[0]);
      oldest[1].destroy();
    }
    this.#unproven.set(name, socket);
    socket.on("close", () => {
      if (this.#unproven.get(name) === socket) this.#unproven.delete(name);
    });
  }

  /** Never throws: whatever a peer does, it is refused by closing its connection, and the process goes on. */
  async #serve(socket: TLSSocket): Promise<void> {
    socket.on("error", () => socket.destroy());
    const peer = this.#identify(socket);
    if (!peer) return;
    const { root, limits, events } = this.#options;
    let pair: Pair;
    try {
      this.#admit(peer, socket);
      pair = await readFirstLine(socket, limits.firstLineMs);
      checkAllowed(peer, pair);
    } catch (error) {
      socket.destroy();
      events.peerRefused(peer.name, error);
      return;
    }
    try {
      const service = await connectTo(root, pair);
      events.peerConnected(peer.name, pair);
      splice(socket, service);
    } catch (error) {
      socket.destroy();
      events.serviceFailed(pair, error);
    }
  }

  #identify(socket: TLSSocket): Peer | undefined {
    try {
      const pin = provenPin(socket);
      const peer = this.#options.peers.find(({ pins }) => pins.includes(pin));
      if (peer) return peer;
      throw linkError("ERR_LINK_PEER", "Pin is no peer's", { fields: { pin } });
    } catch (error) {
      socket.destroy();
      this.#options.events.strangerRefused(error);
      return undefined;
    }
  }

  #admit(peer: Peer, socket: TLSSocket): void {
    this.#unproven.delete(remoteOf(socket));
    const open = this.#connections.get(peer.name);
    if (!open || open.size >= this.#options.limits.maxPerPeer)
      throw linkError("ERR_LINK_FULL", "Peer has too many connections");
    open.add(socket);
    socket.on("close", () => open.delete(socket));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const socket of this.#unproven.values()) socket.destroy();
    for (const open of this.#connections.values()) for (const socket of open) socket.destroy();
    await promise;
  }
}

function checkAllowed(peer: Peer, pair: Pair): void {
  if (!peer.services.some((allowed) => samePair(allowed, pair)))
    throw linkError("ERR_LINK_PAIR", "Peer may not reach this service as this caller", {
      fields: { ...pair },
    });
}

/** THREAT-32: what passes here holds the caller's secret, so that nobody else's socket may stand at its place. */
async function connectTo(root: string, { service, caller }: Pair): Promise<Socket> {
  const place = socketPlace(root, service, caller);
  checkPrivateFolder(place.folder);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ path: place.path, allowHalfOpen: true });
  // Stays attached: once it is connected, an error is its end and nothing else.
  socket.on("error", (error) => {
    socket.destroy();
    reject(error);
  });
  socket.on("connect", resolve);
  await promise;
  return socket;
}

/** Of no two open connections at one port is it the same. */
function remoteOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

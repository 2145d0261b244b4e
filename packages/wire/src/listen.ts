import { chmodSync, lstatSync, rmSync } from "node:fs";
import type { Server } from "node:net";
import { dirname } from "node:path";
import { checkPrivateFolder, errorCode, ServiceError, type EventSink } from "@redoubt/base";
import type { WireEvent } from "./events.ts";
import { HandedOverSockets } from "./handed-over.ts";

export interface ListenOptions {
  /** Path of the socket, ≤ 107 bytes; relative to the working directory where that is longer. */
  readonly path: string;
  readonly caller: string;
  readonly sink: EventSink<WireEvent>;
}

const MAX_SOCKET_PATH_BYTES = 107;

/** What this process was started with. */
const INHERITED = new HandedOverSockets(process.env, process.pid);

/**
 * Listens at a caller's place, in a folder that is closed to others; or on the socket that systemd opened for that
 * caller, where it opened any.
 *
 * @throws ServiceError `ERR_SOCKET_PATH`, `ERR_SOCKET_FD`, `ERR_FILE_*`
 */
export async function listenAtPlace(
  server: Server,
  options: ListenOptions,
  handedOver: HandedOverSockets = INHERITED,
): Promise<void> {
  const fd = handedOver.take(options.caller);
  if (fd !== undefined) return listen(server, options, { fd });
  const { path } = options;
  clearPlace(path);
  await listen(server, options, { path });
}

/** THREAT-32: what may be removed is a socket, and it stands in a folder that only we can write to. */
function clearPlace(path: string): void {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES)
    throw new ServiceError(
      "ERR_SOCKET_PATH",
      `Socket path is over ${MAX_SOCKET_PATH_BYTES} bytes: ${path}`,
    );
  checkPrivateFolder(dirname(path));
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found && !found.isSocket())
    throw new ServiceError("ERR_SOCKET_PATH", `Not a socket: ${path}`);
  rmSync(path, { force: true });
}

function listen(
  server: Server,
  { sink, caller }: ListenOptions,
  at: { readonly path: string } | { readonly fd: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    // Stays attached: an accept that fails later, for want of file descriptors, must not end the process.
    server.on("error", (error) => {
      sink("socket_error", { caller, code: errorCode(error) });
      reject(error);
    });
    server.listen(at, () => {
      try {
        if ("path" in at) chmodSync(at.path, 0o600);
        else checkLocal(server, caller);
        resolve();
      } catch (error) {
        server.close(() => reject(error));
      }
    });
  });
}

/** THREAT-32: an internet socket has no owner, and anybody could connect. */
function checkLocal(server: Server, caller: string): void {
  const address = server.address();
  if (typeof address === "object" && address !== null)
    throw new ServiceError(
      "ERR_SOCKET_FD",
      `The socket handed over for ${caller} is not a unix socket`,
    );
}

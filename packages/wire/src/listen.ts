import { chmodSync, lstatSync, rmSync } from "node:fs";
import type { Server } from "node:net";
import { dirname } from "node:path";
import { checkPrivateFolder, errorCode, ServiceError, type EventSink } from "@redoubt/base";
import type { WireEvent } from "./events.ts";

export interface ListenOptions {
  /** Path of the socket, ≤ 107 bytes; relative to the working directory where that is longer. */
  readonly path: string;
  readonly caller: string;
  readonly sink: EventSink<WireEvent>;
}

const MAX_SOCKET_PATH_BYTES = 107;

/**
 * Listens at a caller's place, in a folder that is closed to others.
 *
 * @throws ServiceError `ERR_SOCKET_PATH`, `ERR_FILE_*`
 */
export async function listenAtPlace(server: Server, options: ListenOptions): Promise<void> {
  clearPlace(options.path);
  await listen(server, options);
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

function listen(server: Server, { path, sink, caller }: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    // Stays attached: an accept that fails later, for want of file descriptors, must not end the process.
    server.on("error", (error) => {
      sink("socket_error", { caller, code: errorCode(error) });
      reject(error);
    });
    server.listen({ path }, () => {
      try {
        chmodSync(path, 0o600);
        resolve();
      } catch (error) {
        server.close(() => reject(error));
      }
    });
  });
}

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import {
  DEFAULT_TPM_TIMEOUT_MS,
  ExchangeQueue,
  MAX_RESPONSE_BYTES,
  RESPONSE_HEADER_BYTES,
  transportError,
  type Transport,
  type TransportOptions,
} from "./transport.ts";

/**
 * Connects to a TPM behind a unix socket that takes bare commands, as `swtpm socket --server type=unixio` does. No one
 * swaps handles there.
 *
 * @throws EvidenceError `ERR_TPM_TRANSPORT`
 */
export async function connectTpmSocket(
  path: string,
  { timeoutMs = DEFAULT_TPM_TIMEOUT_MS }: TransportOptions = {},
): Promise<Transport> {
  const socket = connect({ path });
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(timeoutMs) });
  } catch (error) {
    socket.destroy();
    throw transportError("TPM socket cannot be connected", error);
  }
  // Without a listener an error between two commands would end the process; the next command meets it again.
  socket.on("error", () => undefined);
  // Not by `socket.closed`, which is true as soon as it is destroyed; the descriptor goes later.
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<undefined>();
  socket.once("close", () => {
    onClosed(undefined);
  });
  const queue = new ExchangeQueue();
  return {
    send: (command) => queue.run(() => exchange(socket, command, timeoutMs)),
    close: async () => {
      socket.destroy();
      await closed;
    },
  };
}

function exchange(socket: Socket, command: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  let received: Buffer = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    received = Buffer.concat([received, chunk]);
    const size = announcedSize(received);
    if (size > MAX_RESPONSE_BYTES || received.length > size)
      reject(transportError("TPM answers more than a response"));
    else if (received.length === size) resolve(received);
  };
  const onClose = (): void => {
    reject(transportError("TPM socket is closed"));
  };
  const timer = setTimeout(() => {
    reject(transportError("TPM does not answer"));
  }, timeoutMs);
  socket.on("data", onData).on("close", onClose);
  if (socket.destroyed) onClose();
  else socket.write(command);
  return promise
    .catch((error: unknown) => {
      socket.destroy();
      throw error;
    })
    .finally(() => {
      clearTimeout(timer);
      socket.off("data", onData).off("close", onClose);
    });
}

/** The size that the header of a response names; that of the header as long as it is not there. */
function announcedSize(received: Buffer): number {
  if (received.length < RESPONSE_HEADER_BYTES) return RESPONSE_HEADER_BYTES;
  return received.readUInt32BE(2);
}

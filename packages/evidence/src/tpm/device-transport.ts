import { open, type FileHandle } from "node:fs/promises";
import {
  DEFAULT_TPM_TIMEOUT_MS,
  ExchangeQueue,
  MAX_RESPONSE_BYTES,
  transportError,
  type Transport,
  type TransportOptions,
} from "./transport.ts";

/**
 * Opens a TPM of the kernel, `/dev/tpmrm0`: there the kernel swaps the handles of its users, so that they cannot lack
 * room because of one another.
 *
 * @throws EvidenceError `ERR_TPM_TRANSPORT`
 */
export async function openTpmDevice(
  path: string,
  { timeoutMs = DEFAULT_TPM_TIMEOUT_MS }: TransportOptions = {},
): Promise<Transport> {
  const file = await open(path, "r+").catch((error: unknown) => {
    throw transportError("TPM device cannot be opened", error);
  });
  const queue = new ExchangeQueue();
  return {
    send: (command) => queue.run(() => within(timeoutMs, exchange(file, command))),
    close: () => file.close(),
  };
}

/** The driver takes a command in one write and gives the response in one read. */
async function exchange(file: FileHandle, command: Uint8Array): Promise<Uint8Array> {
  await file.write(command, 0, command.length, null);
  const response = Buffer.alloc(MAX_RESPONSE_BYTES);
  const { bytesRead } = await file.read(response, 0, response.length, null);
  return response.subarray(0, bytesRead);
}

async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(transportError("TPM does not answer"));
  }, timeoutMs);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

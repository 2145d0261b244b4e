import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Transport } from "@redoubt/evidence";

/** Tag, size. */
const SIZE_AT = 2;
const HEADER_BYTES = 6;

export interface TpmSocket extends AsyncDisposable {
  readonly path: string;
}

/** A TPM that is in use already, behind a socket: what firmware does to it happens before an attester connects. */
export async function serveTpm(tpm: Transport): Promise<TpmSocket> {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-tpm-"));
  const path = join(folder, "tpm.sock");
  const server = createServer((socket) => void serve(socket, tpm).catch(() => socket.destroy()));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(path, resolve);
  });
  return {
    path,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => void server.close(resolve));
      rmSync(folder, { recursive: true });
    },
  };
}

async function serve(socket: Socket, tpm: Transport): Promise<void> {
  let pending = Buffer.alloc(0);
  for await (const chunk of socket) {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= HEADER_BYTES) {
      const size = pending.readUInt32BE(SIZE_AT);
      if (size < HEADER_BYTES) throw new RangeError("Not a command");
      if (pending.length < size) break;
      const command = pending.subarray(0, size);
      pending = pending.subarray(size);
      // One TPM, one command after the other.
      socket.write(await tpm.send(command));
    }
  }
}

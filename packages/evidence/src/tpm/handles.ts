import { execute } from "./command.ts";
import { u32 } from "./marshal.ts";
import type { Transport } from "./transport.ts";

async function flush(transport: Transport, handle: number): Promise<void> {
  await execute(transport, "FlushContext", { parameters: u32(handle) });
}

/**
 * Uses an object or session and flushes it afterwards, whatever happened: a TPM has room for three objects and a few
 * sessions, and one that leaks ends every later quote.
 */
export async function flushedAfter<T>(
  transport: Transport,
  handle: number,
  use: () => Promise<T>,
): Promise<T> {
  const result = await use().catch(async (error: unknown) => {
    // Of two failures the first is the cause.
    await flush(transport, handle).catch(() => undefined);
    throw error;
  });
  await flush(transport, handle);
  return result;
}

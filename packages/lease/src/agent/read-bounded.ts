import { open } from "node:fs/promises";
import { errorCode, ServiceError } from "@redoubt/base";

/** An envelope may have as much; one part of it is never more. */
const MAX_BYTES = 1_048_576;
const CHUNK_BYTES = 65_536;

/**
 * Reads a file up to its end: those of the kernel do not know their size before they are read.
 *
 * @throws ServiceError `ERR_ATTESTER_FILE` for more than `maxBytes`; the error of Node
 */
export async function readBounded(path: string, maxBytes = MAX_BYTES): Promise<Buffer> {
  await using file = await open(path, "r");
  const chunks: Buffer[] = [];
  for (let total = 0; total <= maxBytes;) {
    // One after the other: where a part ends is known when it was read.
    const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, null);
    if (bytesRead === 0) return Buffer.concat(chunks);
    chunks.push(buffer.subarray(0, bytesRead));
    total += bytesRead;
  }
  throw new ServiceError("ERR_ATTESTER_FILE", `${path} is larger than ${maxBytes} bytes`);
}

/** As `readBounded`; undefined where there is no such file. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readBounded(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Whether a file, or an attribute of the kernel, is not there. */
export function isMissing(error: unknown): boolean {
  return errorCode(error) === "ENOENT";
}

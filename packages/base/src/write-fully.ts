import { writeSync } from "node:fs";
import { ServiceError } from "./errors.ts";

/** Writes all bytes to an open file: a write may be short without an error (THREAT-05). */
export function writeFully(
  file: number,
  bytes: Uint8Array,
  name: string,
  write: (file: number, bytes: Uint8Array, offset: number) => number = writeSync,
): void {
  let written = 0;
  while (written < bytes.length) {
    const count = write(file, bytes, written);
    if (count === 0)
      throw new ServiceError("ERR_FILE_SHORT_WRITE", `Write made no progress: ${name}`);
    written += count;
  }
}

import { readSync } from "node:fs";
import { ServiceError } from "./errors.ts";

/** Reads `size` bytes from the start of an open file: a read may be short without being the last one. */
export function readExactly(file: number, size: number, name: string): Buffer {
  const buffer = Buffer.alloc(size);
  let read = 0;
  while (read < size) {
    const count = readSync(file, buffer, read, size - read, read);
    // Half a secret is another secret: a file that shrinks while it is read is not used.
    if (count === 0)
      throw new ServiceError("ERR_FILE_SIZE", `${name} ended after ${read} of ${size} bytes`);
    read += count;
  }
  return buffer;
}

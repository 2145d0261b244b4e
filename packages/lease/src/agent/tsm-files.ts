import { constants } from "node:fs";
import { mkdir, open, rmdir } from "node:fs/promises";
import { ServiceError } from "@redoubt/base";
import { readBounded } from "./read-bounded.ts";

/** What an attester does below `/sys/kernel/config/tsm/report`. Errors are those of Node, with their `code`. */
export interface TsmFiles {
  mkdir(path: string): Promise<void>;
  /** In one write: the kernel takes what was written when the file is closed. */
  write(path: string, data: Uint8Array): Promise<void>;
  read(path: string): Promise<Buffer>;
  rmdir(path: string): Promise<void>;
}

export const KERNEL_FILES: TsmFiles = {
  async mkdir(path) {
    await mkdir(path);
  },
  async write(path, data) {
    // Never made where it is not: only the kernel makes attributes.
    await using file = await open(path, constants.O_WRONLY);
    const { bytesWritten } = await file.write(data);
    // mutate: no file that a test can make takes less than it is given.
    if (bytesWritten !== data.length)
      throw new ServiceError("ERR_ATTESTER_TSM", `Not written in one piece: ${path}`);
  },
  read: (path) => readBounded(path),
  async rmdir(path) {
    await rmdir(path);
  },
};

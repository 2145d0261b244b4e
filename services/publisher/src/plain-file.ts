import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { errorCode } from "@redoubt/base";

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
const ABSENT = new Set(["ENOENT", "ENOTDIR", "ELOOP", "EISDIR"]);

/**
 * Reads a file that another process wrote, if it is a regular one of at most `maxBytes`. A symbolic link in its place
 * is not followed, a device or pipe is not waited for.
 *
 * @returns undefined where there is no such file
 */
export async function readPlainFile(path: string, maxBytes: number): Promise<Buffer | undefined> {
  try {
    await using file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > maxBytes) return undefined;
    const bytes = await file.readFile();
    return bytes.length > maxBytes ? undefined : bytes;
  } catch (error) {
    if (ABSENT.has(errorCode(error))) return undefined;
    throw error;
  }
}

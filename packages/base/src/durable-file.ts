import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
  type Stats,
} from "node:fs";
import { resolve } from "node:path";
import { errorCode, ServiceError } from "./errors.ts";
import { readExactly } from "./read-exactly.ts";
import { writeFully } from "./write-fully.ts";

const { O_CREAT, O_DSYNC, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_SYNC, O_WRONLY } = constants;

/**
 * Replaces a file so that after a crash either the old or the new content stands there, whole; once this returns,
 * the new one. O_DSYNC because the permission model refuses fsync. One writer per path.
 *
 * @throws ServiceError `ERR_FILE_SHORT_WRITE`; the error of Node where the system refuses
 */
export function writeDurable(path: string, content: string | Uint8Array, mode = 0o600): void {
  const bytes = typeof content === "string" ? Buffer.from(content, "utf8") : content;
  const temporary = `${path}.new`;
  // THREAT-32: what a crash or somebody else left there would lend its mode, owner or target to the new file.
  rmSync(temporary, { force: true });
  try {
    writeFile(temporary, O_CREAT | O_EXCL | O_DSYNC, bytes, mode);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncName(path, bytes);
}

// The folder cannot be synced (see above). A synchronous write of data and metadata to the renamed file carries the rename
// with it on ext4, XFS and Btrfs, because it is a later change of the same inode. It writes the first byte again as it is.
function syncName(path: string, bytes: Uint8Array): void {
  writeFile(path, O_SYNC, bytes.subarray(0, 1));
}

function writeFile(path: string, flags: number, bytes: Uint8Array, mode?: number): void {
  const file = openSync(path, O_WRONLY | O_NOFOLLOW | flags, mode);
  try {
    writeFully(file, bytes, path);
  } finally {
    closeSync(file);
  }
}

/**
 * Reads a file that only this user may read: THREAT-32, a secret that others can read or a link that somebody
 * else placed is refused, not used.
 *
 * @throws ServiceError `ERR_FILE_KIND`, `ERR_FILE_MODE`, `ERR_FILE_OWNER`, `ERR_FILE_SIZE`; the error of Node
 *   where there is no file (`ENOENT`) or no access
 */
export function readPrivateFile(path: string, maxBytes = 65_536): Buffer {
  const file = openPlain(path);
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new ServiceError("ERR_FILE_KIND", `Not a plain file: ${path}`);
    checkOnlyOurs(path, stat, "0600");
    if (stat.size > maxBytes)
      throw new ServiceError("ERR_FILE_SIZE", `${path} is larger than ${maxBytes} bytes`);
    return readExactly(file, stat.size, path);
  } finally {
    closeSync(file);
  }
}

/**
 * THREAT-32: a folder of ours is a real folder, ours, and closed to everybody else.
 *
 * @throws ServiceError `ERR_FILE_KIND`, `ERR_FILE_MODE`, `ERR_FILE_OWNER`
 */
export function checkPrivateFolder(path: string): void {
  // Resolved, because a slash or a dot at the end would follow a link.
  const stat = lstatSync(resolve(path));
  if (!stat.isDirectory()) throw new ServiceError("ERR_FILE_KIND", `Not a folder: ${path}`);
  checkOnlyOurs(path, stat, "0700");
}

/**
 * Whether anything stands at this path. A link to nowhere counts, and a path that cannot be examined throws:
 * "absent" makes callers create a new secret.
 */
export function privateFileExists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

// O_NONBLOCK: opening a pipe that somebody placed here would otherwise wait for ever.
function openPlain(path: string): number {
  try {
    return openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (cause) {
    if (errorCode(cause) !== "ELOOP") throw cause;
    throw new ServiceError("ERR_FILE_KIND", `${path} is a link`, { cause });
  }
}

function checkOnlyOurs(path: string, stat: Stats, wanted: string): void {
  if ((stat.mode & 0o077) !== 0)
    throw new ServiceError("ERR_FILE_MODE", `${path} is open to others: make it mode ${wanted}`);
  const uid = process.getuid?.();
  if (uid !== undefined && stat.uid !== uid)
    throw new ServiceError("ERR_FILE_OWNER", `${path} belongs to another user`);
}

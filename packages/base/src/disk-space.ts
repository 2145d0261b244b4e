import { statfsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { errorLine } from "./errors.ts";

/**
 * `low`: somebody should make room now. `critical`: little time is left. `none`: not worth beginning anything; a
 * database that is opened may fail at its first write. `unknown`: the file system does not say.
 */
export type SpaceLevel = "enough" | "low" | "critical" | "none" | "unknown";

export interface Space {
  readonly freeBytes: number;
  readonly level: SpaceLevel;
}

/** Reads the space of the file system that a folder is on. */
export type ReadSpace = (folder: string) => Space;

const GIB = 1024 ** 3;
/** A share of the file system, and no more than so many bytes. */
const LOW = { share: 0.1, bytes: 10 * GIB } as const;
const CRITICAL = { share: 0.02, bytes: GIB } as const;
const NONE_BYTES = 2 * 1024 * 1024;

/** Never throws: a look at the disk must end no process. */
export function readSpace(folder: string): Space {
  try {
    const { bavail, blocks, bsize } = statfsSync(folder);
    return spaceOf(bavail * bsize, blocks * bsize);
  } catch {
    return { freeBytes: 0, level: "unknown" };
  }
}

export function spaceOf(freeBytes: number, sizeBytes: number): Space {
  const isBelow = ({ share, bytes }: typeof LOW | typeof CRITICAL): boolean =>
    freeBytes < Math.min(share * sizeBytes, bytes);
  // Some file systems have no size.
  if (sizeBytes === 0) return { freeBytes, level: "unknown" };
  if (freeBytes < NONE_BYTES) return { freeBytes, level: "none" };
  if (isBelow(CRITICAL)) return { freeBytes, level: "critical" };
  return { freeBytes, level: isBelow(LOW) ? "low" : "enough" };
}

// https://sqlite.org/rescode.html: primary result codes, the low byte of an extended one.
const SQLITE_FULL = 13;
/** A disk that is full may also look like a file that cannot be extended (10) or made (14). */
const SQLITE_UNCLEAR: readonly number[] = [10, 14];
const MAX_CAUSES = 8;

/** Whether an error, or what caused it, says that the disk of the folder is full: that passes by itself. */
export function isOutOfSpace(error: unknown, folder: string): boolean {
  let cause: unknown = error;
  for (let left = MAX_CAUSES; left > 0 && typeof cause === "object" && cause !== null; left -= 1) {
    if ("code" in cause && (cause.code === "ENOSPC" || cause.code === "EDQUOT")) return true;
    const result =
      "errcode" in cause && typeof cause.errcode === "number" ? cause.errcode % 256 : 0;
    if (result === SQLITE_FULL) return true;
    if (SQLITE_UNCLEAR.includes(result)) return readSpace(folder).level === "none";
    cause = "cause" in cause ? cause.cause : undefined;
  }
  return false;
}

const RETRY_MS = 1000;

/**
 * Opens something that may need room on the disk of `folder`. While there is none it waits and asks again, and tells
 * `onWait` why, each time: a process that ended instead would be started again and again.
 *
 * @returns undefined when `signal` ends the waiting
 */
export async function openWhenSpace<T>(
  open: () => Promise<T>,
  wait: {
    readonly folder: string;
    readonly signal: AbortSignal;
    readonly onWait: (reason: string) => void;
    readonly retryMs?: number;
  },
): Promise<T | undefined> {
  const { folder, signal, onWait, retryMs = RETRY_MS } = wait;
  while (!signal.aborted) {
    try {
      return await open();
    } catch (error) {
      if (!isOutOfSpace(error, folder)) throw error;
      onWait(`ERR_DISK_FULL: ${errorLine(error)}`);
    }
    await pause(retryMs, undefined, { signal }).catch(() => undefined);
  }
  return undefined;
}

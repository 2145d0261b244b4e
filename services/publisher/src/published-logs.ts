import { join } from "node:path";
import { parseTilePath, TlogError } from "@redoubt/tlog";
import type { FileCache } from "./file-cache.ts";
import { readPlainFile } from "./plain-file.ts";

export interface LogFile {
  readonly bytes: Buffer;
  readonly contentType: string;
  readonly cacheControl: string;
}

const PREFIX = "/tlog/";
const LOG_PATH = /^([0-9a-f]{16})\/(.{1,128})$/;
// C2SP tlog-tiles: a bundle has at most 256 entries of at most 65 535 bytes; ours have 65 bytes.
const MAX_FILE_BYTES = 1024 * 1024;
const IMMUTABLE = "public, max-age=31536000, immutable";

/** The ledger's published folder over HTTP (docs/spec/logs.md §5, C2SP tlog-tiles). Read only, and only these names. */
export class PublishedLogs {
  readonly #folder: string;
  readonly #cache: FileCache;

  constructor(folder: string, cache: FileCache) {
    this.#folder = folder;
    this.#cache = cache;
  }

  /** @returns undefined for a path that names nothing, and for a file that is not there */
  async read(path: string): Promise<LogFile | undefined> {
    if (!path.startsWith(PREFIX)) return undefined;
    const name = path.slice(PREFIX.length);
    if (name === "logs.json") return this.#changing(name, "application/json");
    const [, log, file] = LOG_PATH.exec(name) ?? [];
    if (log === undefined || file === undefined) return undefined;
    if (file === "checkpoint") return this.#changing(name, "text/plain; charset=utf-8");
    return isTilePath(file) ? this.#tile(name) : undefined;
  }

  async #changing(name: string, contentType: string): Promise<LogFile | undefined> {
    const bytes = await readPlainFile(join(this.#folder, name), MAX_FILE_BYTES);
    return bytes && { bytes, contentType, cacheControl: "no-cache" };
  }

  async #tile(name: string): Promise<LogFile | undefined> {
    const key = `${PREFIX}${name}`;
    const bytes =
      this.#cache.get(key) ?? (await readPlainFile(join(this.#folder, name), MAX_FILE_BYTES));
    if (!bytes) return undefined;
    this.#cache.set(key, bytes);
    return { bytes, contentType: "application/octet-stream", cacheControl: IMMUTABLE };
  }
}

/** The one form of each tile's path: nothing that could lead out of the folder has it. */
function isTilePath(file: string): boolean {
  try {
    parseTilePath(file);
    return true;
  } catch (error) {
    if (error instanceof TlogError) return false;
    throw error;
  }
}

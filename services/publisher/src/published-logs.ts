import { join } from "node:path";
import { MemberReader } from "@redoubt/base";
import { HttpError } from "@redoubt/http";
import { logId, parseTilePath, parseVerifierKey, TlogError } from "@redoubt/tlog";
import { isJsonObject, parseJsonObject, type JsonValue } from "@redoubt/verify/json";
import type { PublisherEvents } from "./events.ts";
import type { FileCache } from "./file-cache.ts";
import { readPlainFile } from "./plain-file.ts";
import { DamagedFile, PublishedLog } from "./published-log.ts";

export interface LogFile {
  readonly bytes: Buffer;
  readonly contentType: string;
  readonly cacheControl: string;
}

const PREFIX = "/tlog/";
const LOG_PATH = /^([0-9a-f]{16})\/(.{1,128})$/;
// C2SP tlog-tiles: a bundle has at most 256 entries of at most 65 535 bytes; ours have 65 bytes.
const MAX_FILE_BYTES = 1024 * 1024;
const MAX_LOGS = 512;
const MAX_DAMAGED = 1024;
const LIST = "logs.json";
const CHANGES = "no-cache";
const IMMUTABLE = "public, max-age=31536000, immutable";

interface LogList {
  readonly bytes: Buffer;
  readonly logs: ReadonlyMap<string, PublishedLog>;
}

/**
 * The ledger's published folder over HTTP (docs/spec/logs.md §5, C2SP tlog-tiles). Read only, and only these names.
 * A file that is not what the log's checkpoint says is not served.
 */
export class PublishedLogs {
  readonly #folder: string;
  readonly #cache: FileCache;
  readonly #events: PublisherEvents;
  /** Names whose damage was logged, and that were not served since. */
  readonly #damaged = new Set<string>();
  #list: LogList | undefined;

  constructor(folder: string, cache: FileCache, events: PublisherEvents) {
    this.#folder = folder;
    this.#cache = cache;
    this.#events = events;
  }

  /** @returns undefined for a path that names nothing, and for a file that is not there */
  async read(path: string): Promise<LogFile | undefined> {
    if (!path.startsWith(PREFIX)) return undefined;
    const name = path.slice(PREFIX.length);
    try {
      const file = await this.#find(name);
      this.#damaged.delete(name);
      return file;
    } catch (error) {
      if (!(error instanceof DamagedFile)) throw error;
      this.#tell(name, error.path);
      throw new HttpError("ERR_HTTP_BUSY", "Try again later", { headers: ["retry-after", "5"] });
    }
  }

  /** Logs the damage once, however often somebody asks for the file. */
  #tell(name: string, found: string): void {
    if (this.#damaged.has(name)) return;
    if (this.#damaged.size >= MAX_DAMAGED) this.#damaged.clear();
    this.#damaged.add(name);
    this.#events.logFileDamaged(name, found);
  }

  async #find(name: string): Promise<LogFile | undefined> {
    if (name === LIST) {
      const list = await this.#readList();
      return list && { bytes: list.bytes, contentType: "application/json", cacheControl: CHANGES };
    }
    const [, id, file] = LOG_PATH.exec(name) ?? [];
    if (id === undefined || file === undefined) return undefined;
    const isCheckpoint = file === "checkpoint";
    if (!isCheckpoint && !isTilePath(file)) return undefined;
    const log = (await this.#readList())?.logs.get(id);
    const bytes = isCheckpoint ? await log?.checkpoint() : await log?.tile(file);
    return (
      bytes && {
        bytes,
        contentType: isCheckpoint ? "text/plain; charset=utf-8" : "application/octet-stream",
        cacheControl: isCheckpoint ? CHANGES : IMMUTABLE,
      }
    );
  }

  /** Which logs there are, and under which keys: it changes when the ledger starts with another configuration. */
  async #readList(): Promise<LogList | undefined> {
    const bytes = await this.#readFile(LIST);
    if (!bytes) return undefined;
    if (this.#list?.bytes.equals(bytes)) return this.#list;
    this.#list = { bytes, logs: this.#parseList(bytes) };
    return this.#list;
  }

  #parseList(bytes: Buffer): ReadonlyMap<string, PublishedLog> {
    try {
      const list = new MemberReader(parseJsonObject(bytes), LIST);
      const logs = list.array("logs", MAX_LOGS).map((value) => this.#parseLog(value));
      list.done();
      return new Map(logs);
    } catch (cause) {
      throw new DamagedFile(LIST, { cause });
    }
  }

  #parseLog(value: JsonValue): [string, PublishedLog] {
    if (!isJsonObject(value)) throw new TypeError("A log must be an object");
    const reader = new MemberReader(value, LIST);
    const origin = reader.string("origin", 256);
    const id = reader.string("id", 16);
    const verifiers = reader.strings("vkeys", 2, 512).map(parseVerifierKey);
    reader.done();
    const names = [origin, `${origin}/writer`];
    const isNamed = verifiers.length > 0 && verifiers.every(({ name }) => names.includes(name));
    if (id !== logId(origin) || !isNamed)
      throw new RangeError(`Not the id or the keys of ${origin}`);
    const cache = this.#cache;
    const prefix = `${PREFIX}${id}/`;
    const read = (path: string) => this.#readFile(join(id, path));
    return [id, new PublishedLog({ origin, verifiers, read, cache, prefix })];
  }

  #readFile(name: string): Promise<Buffer | undefined> {
    return readPlainFile(join(this.#folder, name), MAX_FILE_BYTES);
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

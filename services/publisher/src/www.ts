import { hash } from "node:crypto";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { errorCode } from "@redoubt/base";
import { ownBytes } from "@redoubt/tlog";
import type { PublisherEvents } from "./events.ts";
import type { FileCache } from "./file-cache.ts";
import { readPlainFile } from "./plain-file.ts";
import type { SiteDocument } from "./site.ts";

export interface WwwDocument {
  readonly path: string;
  /** Strong: of the exact bytes. */
  readonly etag: string;
}

const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;
/** A larger document is hot only once somebody asks for it: attestations change often, and hardly anybody reads them. */
const MAX_WARM_BYTES = 64 * 1024;

/**
 * The site: an index of what is served, and its files, which any static server may serve as well. A file that is
 * missing or altered is not served, and the next `replace` writes it again.
 */
export class Www {
  readonly #folder: string;
  readonly #cache: FileCache;
  readonly #events: PublisherEvents;
  #index: ReadonlyMap<string, WwwDocument> = new Map();
  /** Documents whose files are not written yet: they are served from here. */
  readonly #unwritten = new Map<string, Buffer>();
  /** Paths whose files were found missing or altered. */
  readonly #damaged = new Set<string>();
  #writing: Promise<void> = Promise.resolve();
  #isSwept = false;

  constructor(folder: string, cache: FileCache, events: PublisherEvents) {
    this.#folder = folder;
    this.#cache = cache;
    this.#events = events;
  }

  get size(): number {
    return this.#index.size;
  }

  /** Whether a file must be written again, by a `replace` with the same documents. */
  get isDamaged(): boolean {
    return this.#damaged.size > 0;
  }

  find(path: string): WwwDocument | undefined {
    return this.#index.get(path);
  }

  /** From now on exactly these documents are served. Resolves once the files are written, or have failed. */
  replace(documents: readonly SiteDocument[]): Promise<void> {
    const index = new Map<string, WwwDocument>();
    for (const { path, body } of documents) {
      const etag = etagOf(body);
      index.set(path, { path, etag });
      if (this.#index.get(path)?.etag === etag && !this.#damaged.has(path)) continue;
      const bytes = ownBytes(Buffer.from(body, "utf8"));
      this.#unwritten.set(path, bytes);
      if (bytes.length <= MAX_WARM_BYTES) this.#cache.set(path, bytes);
      else this.#cache.delete(path);
    }
    this.#damaged.clear();
    const gone = [...this.#index.keys()].filter((path) => !index.has(path));
    for (const path of gone) {
      this.#unwritten.delete(path);
      this.#cache.delete(path);
    }
    this.#index = index;
    this.#writing = this.#writing.then(() => this.#write(gone));
    return this.#writing;
  }

  /** The bytes of a document of this index. */
  read({ path, etag }: WwwDocument): Buffer | Promise<Buffer | undefined> {
    return this.#cache.get(path) ?? this.#unwritten.get(path) ?? this.#readFile(path, etag);
  }

  /** Writes what could not be written before. */
  retry(): Promise<void> {
    if (this.#unwritten.size > 0) this.#writing = this.#writing.then(() => this.#write([]));
    return this.#writing;
  }

  async #readFile(path: string, etag: string): Promise<Buffer | undefined> {
    const bytes = await readPlainFile(this.#fileOf(path), MAX_DOCUMENT_BYTES);
    if (!bytes || etagOf(bytes) !== etag) {
      this.#events.fileDamaged(path);
      this.#damaged.add(path);
      return undefined;
    }
    this.#cache.set(path, bytes);
    return bytes;
  }

  async #write(gone: readonly string[]): Promise<void> {
    try {
      for (const path of gone)
        if (!this.#index.has(path)) await rm(this.#fileOf(path), { force: true });
      for (const [path, bytes] of this.#unwritten) {
        await this.#writeFile(path, bytes);
        if (this.#unwritten.get(path) === bytes) this.#unwritten.delete(path);
      }
      if (!this.#isSwept) await this.#sweep();
      this.#isSwept = true;
    } catch (error) {
      this.#events.writeFailed(errorCode(error));
    }
  }

  async #writeFile(path: string, bytes: Buffer): Promise<void> {
    const file = this.#fileOf(path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(`${file}.new`, bytes);
    await rename(`${file}.new`, file);
  }

  /** Removes what an earlier run left and this one does not serve: a static server would serve it still. */
  async #sweep(): Promise<void> {
    const entries = await readdir(this.#folder, { recursive: true, withFileTypes: true });
    for (const entry of entries) {
      const file = join(entry.parentPath, entry.name);
      const path = `/${relative(this.#folder, file).replaceAll(sep, "/")}`;
      if (!entry.isDirectory() && !this.#index.has(path)) await rm(file, { force: true });
    }
  }

  // Paths come from `buildSite`, whose segments are plain names.
  #fileOf(path: string): string {
    return join(this.#folder, path);
  }
}

function etagOf(body: string | Buffer): string {
  return `"${hash("sha256", body, "base64url").slice(0, 22)}"`;
}

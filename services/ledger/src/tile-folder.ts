import { constants, readFileSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorCode } from "@redoubt/base";
import type { TileFile } from "./tile-builder.ts";

const { O_NOFOLLOW, O_SYNC, O_WRONLY } = constants;

const PARTIAL_SUFFIX = ".p";

/**
 * The published files of one log. They are derived: a reader trusts none of them without a signature, and what is
 * lost or wrong is written again, the same, from the database. So nobody waits until they are durable: the audit
 * makes the full ones so, and reads them against the database until then (docs/spec/logs.md §6).
 */
export class TileFolder {
  readonly #folder: string;
  /** Folders that exist: one system call less for nearly every file. */
  readonly #made = new Set<string>();
  /** Folders of partial files that this process wrote. */
  readonly #partials = new Set<string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  async write({ path, bytes }: TileFile): Promise<void> {
    const target = join(this.#folder, path);
    const parent = dirname(target);
    try {
      if (!this.#made.has(parent)) await mkdir(parent, { recursive: true });
      this.#made.add(parent);
      if (parent.endsWith(PARTIAL_SUFFIX)) this.#partials.add(parent);
      await writeFile(`${target}.new`, bytes);
      await rename(`${target}.new`, target);
    } catch (error) {
      // Somebody may have removed the folder; the next attempt makes it again.
      this.#made.clear();
      throw error;
    }
  }

  /**
   * Writes a full file and removes the partial ones that it replaces (C2SP tlog-tiles, "Partial Tiles").
   * `isNew`: no earlier process can have written any, so that most files need no look.
   */
  async writeFull(file: TileFile, { isNew }: { readonly isNew: boolean }): Promise<void> {
    await this.write(file);
    const partials = join(this.#folder, `${file.path}${PARTIAL_SUFFIX}`);
    if (isNew && !this.#partials.has(partials)) return;
    this.#made.delete(partials);
    await rm(partials, { recursive: true, force: true });
    this.#partials.delete(partials);
  }

  /** Makes sure that a full file has these bytes, and that it is durable if it is new or had to be written again. */
  async confirm(
    file: TileFile,
    { isNew }: { readonly isNew: boolean },
  ): Promise<"same" | "repaired"> {
    const found = await readFile(join(this.#folder, file.path)).catch(absent);
    const isSame = found?.equals(file.bytes) === true;
    if (!isSame) await this.writeFull(file, { isNew: false });
    if (isNew || !isSame) await this.#sync(file);
    return isSame ? "same" : "repaired";
  }

  /**
   * All bytes are written over themselves with O_SYNC, because the permission model refuses fsync. The file's name,
   * and the folders that were made for it, become durable with that: see `writeDurable`.
   */
  async #sync({ path, bytes }: TileFile): Promise<void> {
    await using file = await open(join(this.#folder, path), O_WRONLY | O_NOFOLLOW | O_SYNC);
    await file.writeFile(bytes);
  }

  read(path: string): Buffer {
    return readFileSync(join(this.#folder, path));
  }

  /** `undefined` where there is no such file. */
  readIfThere(path: string): Buffer | undefined {
    try {
      return this.read(path);
    } catch (error) {
      return absent(error);
    }
  }
}

function absent(error: unknown): undefined {
  if (errorCode(error) !== "ENOENT") throw error;
  return undefined;
}

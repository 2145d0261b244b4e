import type { TileFile } from "./tile-builder.ts";
import type { TileFolder } from "./tile-folder.ts";

/** From so many full files on, they are written at once and not only at the next publication. */
const MANY_FILES = 16;
/** Full files in memory (P12), about 3 MB. One batch more is taken at most. */
const MAX_FILES = 256;

/** Full tiles and bundles that are not written yet: a disk that is slow or full holds up nobody but itself. */
export class TileQueue {
  readonly #folder: TileFolder;
  readonly #files: TileFile[] = [];

  constructor(folder: TileFolder) {
    this.#folder = folder;
  }

  get hasMany(): boolean {
    return this.#files.length >= MANY_FILES;
  }

  /** Nothing more is to be added. */
  get isFull(): boolean {
    return this.#files.length >= MAX_FILES;
  }

  add(files: readonly TileFile[]): void {
    this.#files.push(...files);
  }

  /** Writes what there is, and what is added meanwhile. `isNew`: see `TileFolder.writeFull`. */
  async write({ isNew }: { readonly isNew: boolean }): Promise<void> {
    for (let file = this.#files[0]; file; file = this.#files[0]) {
      // oxlint-disable-next-line no-await-in-loop -- in order, so that a failure leaves the rest for the next time
      await this.#folder.writeFull(file, { isNew });
      this.#files.shift();
    }
  }

  read(path: string): Buffer {
    return this.#files.find((file) => file.path === path)?.bytes ?? this.#folder.read(path);
  }
}

import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CHUNK_BYTES = 4 * 1024 * 1024;

/** A disk of its own for one system, of which a file takes all that is to be gone. */
export class SmallDisk implements Disposable {
  readonly folder: string;
  readonly #unmount = (): void => {
    spawnSync("umount", ["-l", this.folder]);
    rmSync(this.folder, { recursive: true, force: true });
  };

  private constructor(folder: string) {
    this.folder = folder;
    // Whatever ends this process: nothing stays mounted.
    process.once("exit", this.#unmount);
  }

  /** Undefined where this user may mount nothing. */
  static mount(bytes: number): SmallDisk | undefined {
    const folder = mkdtempSync(join(tmpdir(), "redoubt-disk-"));
    const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", folder]);
    if (status === 0) return new SmallDisk(folder);
    rmSync(folder, { recursive: true });
    return undefined;
  }

  /** Leaves about so many bytes. */
  fill(leftBytes: number): void {
    const file = openSync(join(this.folder, "ballast"), "a");
    try {
      for (;;) {
        const { bavail, bsize } = statfsSync(this.folder);
        if (bavail * bsize <= leftBytes) return;
        writeSync(file, Buffer.alloc(Math.min(bavail * bsize - leftBytes, CHUNK_BYTES)));
      }
    } catch {
      // It is full.
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(join(this.folder, "ballast"));
  }

  [Symbol.dispose](): void {
    process.removeListener("exit", this.#unmount);
    this.#unmount();
  }
}

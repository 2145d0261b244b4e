import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { errorCode, writeDurable, type Clock } from "@redoubt/base";
import { parseJsonObject } from "@redoubt/verify/json";
import { isStale, verifyMetadata, type ModelMetadata } from "./passkeys/metadata.ts";
import type { PasskeyMetadataSource } from "./people-config.ts";

export interface MetadataFileOptions {
  /** The process's own folder, in which the file is. */
  readonly folder: string;
  readonly source: PasskeyMetadataSource;
  readonly clock: Clock;
  /** The file could not be taken: what was read before counts on; at first there is none. */
  readonly failed: (code: string) => void;
  /** It was taken, or the newest that was taken is older than its own word allows. */
  readonly read: (fields: { readonly number: number; readonly isStale: boolean }) => void;
}

/** How often the file is looked at: somebody puts a new one there each month. */
const LOOK_MS = 60_000;
const NUMBER_FILE = "fido-metadata.number";

/**
 * FIDO metadata from a file that the operator puts beside the configuration (no part of sign-in fetches anything). A
 * status that it brings counts for every passkey from the next use on.
 */
export class MetadataFile {
  readonly #options: MetadataFileOptions;
  readonly #path: string;
  #current: ModelMetadata | null = null;
  #seen = "";
  #lookedMs = -Infinity;
  #wasStale = false;
  #lastNumber: number;

  constructor(options: MetadataFileOptions) {
    this.#options = options;
    this.#path = join(options.folder, options.source.file);
    this.#lastNumber = readNumber(join(options.folder, NUMBER_FILE));
    this.current();
  }

  /** What is known of models now; null until a file was taken. */
  current(): ModelMetadata | null {
    const { clock, read } = this.#options;
    const nowMs = clock.monotonic();
    if (nowMs - this.#lookedMs >= LOOK_MS) {
      this.#lookedMs = nowMs;
      this.#look();
      const isOld = this.#current !== null && isStale(this.#current, clock.now());
      if (this.#current && isOld && !this.#wasStale)
        read({ number: this.#current.number, isStale: true });
      this.#wasStale = isOld;
    }
    return this.#current;
  }

  #look(): void {
    const { clock, source, folder, failed, read } = this.#options;
    try {
      const { mtimeMs, size, ino } = statSync(this.#path);
      const name = `${mtimeMs} ${size} ${ino}`;
      if (name === this.#seen) return;
      this.#seen = name;
      const { roots, host } = source;
      const metadata = verifyMetadata(readFileSync(this.#path), {
        roots,
        host,
        now: clock.now(),
        lastNumber: this.#lastNumber,
      });
      // An older file must not bring a revoked model back, not after a restart either.
      if (metadata.number > this.#lastNumber)
        writeDurable(join(folder, NUMBER_FILE), JSON.stringify({ number: metadata.number }));
      this.#lastNumber = metadata.number;
      this.#current = metadata;
      read({ number: metadata.number, isStale: isStale(metadata, clock.now()) });
    } catch (error) {
      failed(errorCode(error));
    }
  }
}

/** 0 where no file was ever taken. */
function readNumber(path: string): number {
  try {
    const { number } = parseJsonObject(readFileSync(path));
    return typeof number === "number" ? number : 0;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return 0;
    throw error;
  }
}

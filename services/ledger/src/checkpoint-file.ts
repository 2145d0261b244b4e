import type { Log } from "./log.ts";
import type { TileFolder } from "./tile-folder.ts";

/** A checkpoint whose tiles can be read. */
export interface SizedCheckpoint {
  readonly size: number;
  /** Empty text for an empty log. */
  readonly checkpoint: string;
}

export const CHECKPOINT_FILE = "checkpoint";

/**
 * docs/spec/logs.md §5: what is published is the newest checkpoint that the witness cosigned, so that it can be
 * verified at any time by whoever knows the witness; until there is one, it is the log's own. Tiles run ahead of it.
 */
export class CheckpointFile {
  readonly #log: Log;
  readonly #folder: TileFolder;
  #published: SizedCheckpoint = { size: 0, checkpoint: "" };

  constructor(log: Log, folder: TileFolder) {
    this.#log = log;
    this.#folder = folder;
  }

  get published(): SizedCheckpoint {
    return this.#published;
  }

  /** Goes on from what an earlier process published. */
  resume(published: SizedCheckpoint): void {
    this.#published = published;
  }

  /** `written`: the log's own checkpoint of the newest size whose tiles are there. */
  async publish(written: SizedCheckpoint): Promise<void> {
    const next = this.#newest(written);
    if (next.size === 0 || next.checkpoint === this.#published.checkpoint) return;
    await this.#folder.write({ path: CHECKPOINT_FILE, bytes: Buffer.from(next.checkpoint) });
    this.#published = next;
  }

  #newest(written: SizedCheckpoint): SizedCheckpoint {
    const { cosigned } = this.#log;
    const next = cosigned ? { size: cosigned.size, checkpoint: cosigned.note } : written;
    // Nothing smaller than what was shown: to whoever saw that it would look like a fork. Nothing larger than what is
    // written: its tiles are not there yet. And at the same size a note without a cosignature replaces nothing: the
    // published one may bear that of a former witness key, and a closed log is never cosigned again.
    const shown = this.#published.size;
    const isNewer = cosigned ? next.size >= shown : next.size > shown;
    const canBeShown = isNewer && next.size <= written.size;
    return canBeShown ? next : this.#published;
  }
}

import type { Clock } from "@redoubt/base";
import { parseCheckpoint, parseNote, tilePath, type TileReader } from "@redoubt/tlog";
import { CHECKPOINT_FILE, CheckpointFile, type SizedCheckpoint } from "./checkpoint-file.ts";
import { deriveSlice } from "./derive.ts";
import { historyError, isHistoryError } from "./errors.ts";
import type { LedgerEvents } from "./events.ts";
import { openFullCheckpoint } from "./history.ts";
import type { Log } from "./log.ts";
import { resumeTiles } from "./resume-tiles.ts";
import type { Store } from "./store.ts";
import { TileBuilder, type Growth } from "./tile-builder.ts";
import type { TileFolder } from "./tile-folder.ts";
import { TileQueue } from "./tile-queue.ts";

/** A tree that was this log's, and the note that is published of it. */
interface KnownTree {
  readonly size: number;
  readonly root: Buffer;
  readonly note?: string;
}

export interface TileWriterOptions {
  readonly log: Log;
  readonly store: Store;
  readonly folder: TileFolder;
  readonly events: LedgerEvents;
  readonly halt: (log: Log, error: unknown) => void;
  /** The tiles of a new size can be read. */
  readonly onWritten: () => void;
  /** What the audit has covered: its full tiles are durable. */
  readonly audited: KnownTree;
  readonly clock: Clock;
  readonly delayMs?: number;
}

const DELAY_MS = 200;
/**
 * A log that grows all the time publishes its right edge at most once in so many delays: each time leaves a handful
 * of files that the next one replaces, and P3's 5 s leave room for one second here and one at the witness.
 */
const BUSY_DELAYS = 5;
/** The longest time from a commit to tiles that cover it, on a disk that keeps up. */
export const PUBLISH_WITHIN_MS: number = BUSY_DELAYS * DELAY_MS;
/**
 * How many slices a publication reads at most to catch up with a log that keeps growing. Once it has caught up, the
 * growth can be taken from memory again.
 */
const CHASE_SLICES = 64;
const RETRY_MS = 1000;

/**
 * Publishes one log: tiles, then a checkpoint that they lead to. It runs behind the commits and is told only of what is durable, so
 * that it can neither delay a commit nor publish what a crash would take back. What it holds in memory may be lost
 * at any time: a start goes on from the published files and the database.
 */
export class TileWriter implements AsyncDisposable {
  readonly #options: TileWriterOptions;
  readonly #stop = new AbortController();
  #builder = new TileBuilder();
  readonly #queue: TileQueue;
  readonly #file: CheckpointFile;
  #written: SizedCheckpoint = { size: 0, checkpoint: "" };
  /** Whether this process wrote the partial files; those of an earlier one may be torn. */
  #edgeWritten = false;
  #last: Promise<void> = Promise.resolve();
  #queued = 0;
  #timer: NodeJS.Timeout | undefined;
  #edgeAt = -Infinity;
  #failing = false;

  constructor(options: TileWriterOptions) {
    this.#options = options;
    this.#queue = new TileQueue(options.folder);
    this.#file = new CheckpointFile(options.log, options.folder);
    this.#resume();
  }

  get published(): SizedCheckpoint {
    return this.#file.published;
  }

  /** The newest size whose tiles can be read, with the log's own checkpoint of it: what the witness is asked about. */
  get written(): SizedCheckpoint {
    return this.#written;
  }

  /** Tiles of what is published, the part of the right edge that is not full included. */
  readonly readTile: TileReader = (level, index, width) =>
    this.#builder.partial(level, index, width) ?? this.#queue.read(tilePath(level, index));

  /** There is a newer cosignature: its tiles are there, and only the checkpoint moves. */
  cosigned(): void {
    void this.#enqueue(() => this.#file.publish(this.#written));
  }

  /** The log moved: its tiles are to be written within `delayMs`, or five times that while it keeps moving. */
  changed(): void {
    if (this.#timer) return;
    const { clock, delayMs = DELAY_MS } = this.#options;
    const pause = this.#edgeAt + BUSY_DELAYS * delayMs - clock.monotonic();
    this.#schedule(Math.max(delayMs, pause));
  }

  /**
   * The log grew by this, and it is durable. What continues the tiles is taken with its hashes; what does not, for
   * instance what another process wrote, is read from the database when its time comes.
   */
  grew(growth: readonly Growth[]): void {
    for (const step of growth)
      if (step.first === this.#builder.size && !this.#queue.isFull)
        this.#queue.add(this.#builder.take(step));
    if (this.#queue.hasMany && this.#queued === 0 && !this.#failing)
      void this.#enqueue(() => this.#writeFull());
    this.changed();
  }

  /** Publishes now. Never rejects: a failure is an event, and tried again. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#enqueue(() => this.#publish());
  }

  /** One after the other: each works on the same builder and the same list of files. */
  #enqueue(work: () => Promise<void>): Promise<void> {
    this.#queued += 1;
    this.#last = this.#last.then(async () => {
      await this.#runOrRetry(work);
      this.#queued -= 1;
    });
    return this.#last;
  }

  #schedule(delayMs: number): void {
    if (this.#stop.signal.aborted) return;
    this.#timer ??= setTimeout(() => void this.flush(), delayMs).unref();
  }

  async #runOrRetry(work: () => Promise<void>): Promise<void> {
    const { log, events, halt } = this.#options;
    if (this.#stop.signal.aborted || log.halted !== undefined) return;
    try {
      await work();
      if (this.#failing) events.tilesRecovered(log.origin);
      this.#failing = false;
    } catch (error) {
      if (isHistoryError(error)) return halt(log, error);
      // THREAT-05: a full disk here must not stop a commit, and is not forgotten either.
      if (!this.#failing) events.tilesFailed(log.origin, error);
      this.#failing = true;
      this.#schedule(RETRY_MS);
    }
  }

  async #publish(): Promise<void> {
    const { clock, onWritten } = this.#options;
    // While this catches up, the edge that an earlier process wrote stays published. It may be torn: it is written anew.
    if (!this.#edgeWritten) await this.#writeEdge();
    await this.#writeFull();
    await this.#catchUp();
    const isMoved = this.#builder.size !== this.#written.size || !this.#edgeWritten;
    if (isMoved) {
      this.#edgeAt = clock.monotonic();
      this.#written = await this.#writeEdge();
      this.#edgeWritten = true;
    }
    await this.#file.publish(this.#written);
    if (isMoved) onWritten();
  }

  async #writeEdge(): Promise<SizedCheckpoint> {
    // All of the edge at once: the log may grow at each await.
    const { size } = this.#builder;
    const checkpoint = this.#checkpointOf(this.#builder);
    for (const file of this.#builder.partials()) await this.#options.folder.write(file);
    return { size, checkpoint };
  }

  /** Reads from the database what was not taken from memory. */
  async #catchUp(): Promise<void> {
    const { log, store } = this.#options;
    const least = log.size;
    const cosigned = log.cosigned?.size ?? 0;
    for (let slices = 0; this.#builder.size < log.size; slices++) {
      const isFar = this.#builder.size >= least && slices >= CHASE_SLICES;
      if (isFar || this.#stop.signal.aborted) return;
      const until = this.#builder.size < cosigned ? cosigned : log.size;
      this.#queue.add(deriveSlice(this.#builder, { store, log, until }));
      await this.#writeFull();
      // This size will be published, and its partial tiles with it.
      if (this.#builder.size === cosigned) await this.#writeEdge();
    }
  }

  /** Signed by log and writer, and by nobody else. */
  #checkpointOf({ size, range }: TileBuilder): string {
    const { log, store } = this.#options;
    if (size === 0) return "";
    const batch = store.batchEndingAt(log.origin, size);
    if (!batch) throw historyError(`No batch ends at ${size}`);
    // What was read from the database to catch up is held against what was signed before anything of it is shown.
    const { root } = parseCheckpoint(parseNote(batch.checkpoint).body);
    if (!root.equals(range.root()))
      throw historyError(`Entries do not lead to the checkpoint at ${size}`);
    return batch.checkpoint;
  }

  #writeFull(): Promise<void> {
    // Once this process has published, every partial file that an earlier one left is known or gone.
    return this.#queue.write({ isNew: this.#edgeWritten });
  }

  /** Goes on from what is published, or else from what the audit made durable; else everything is derived anew. */
  #resume(): void {
    const { log, store, folder, audited, events } = this.#options;
    const open = (note: string | undefined): KnownTree[] =>
      note === undefined ? [] : [{ ...openFullCheckpoint(note, log.identity), note }];
    const known = [
      () => open(folder.readIfThere(CHECKPOINT_FILE)?.toString("utf8")),
      // The file itself may be torn.
      () => open(store.cosigned(log.origin)?.note).map(({ size, root }) => ({ size, root })),
      () => (audited.size > 0 ? [audited] : []),
    ];
    for (const find of known) {
      try {
        for (const tree of find()) return this.#resumeFrom(tree);
      } catch (error) {
        events.publishedUnusable(log.origin, error);
      }
    }
  }

  #resumeFrom({ size, root, note }: KnownTree): void {
    const builder = resumeTiles(this.#options, { size, root });
    this.#written = { size, checkpoint: this.#checkpointOf(builder) };
    this.#builder = builder;
    if (note !== undefined) this.#file.resume({ size, checkpoint: note });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#last;
  }
}

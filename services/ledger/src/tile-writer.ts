import { tilePath, type TileReader } from "@redoubt/tlog";
import { auditLog, deriveSlice } from "./derive.ts";
import { splitEntries } from "./entries.ts";
import { historyError, isHistoryError } from "./errors.ts";
import type { LedgerEvents } from "./events.ts";
import { openFullCheckpoint, type Mark } from "./history.ts";
import type { Log } from "./log.ts";
import type { Store } from "./store.ts";
import { TileBuilder, type TileFile } from "./tile-builder.ts";
import type { TileFolder } from "./tile-folder.ts";

export interface TileWriterOptions {
  readonly log: Log;
  readonly store: Store;
  readonly folder: TileFolder;
  readonly events: LedgerEvents;
  readonly halt: (log: Log, error: unknown) => void;
  /** Tiles and checkpoint of a new size can be read. */
  readonly onPublished: () => void;
  readonly delayMs?: number;
}

export interface Published {
  readonly size: number;
  readonly checkpoint: string;
}

const DELAY_MS = 200;
const RETRY_MS = 1000;
export const CHECKPOINT_FILE = "checkpoint";

/**
 * Publishes one log: reads stored batches, writes tiles, then the checkpoint. It runs behind the commits and knows
 * only the database, so that it can neither delay a commit nor publish what is not durable.
 */
export class TileWriter implements AsyncDisposable {
  readonly #options: TileWriterOptions;
  readonly #stop = new AbortController();
  #builder: TileBuilder;
  /** Files that a full disk refused; nothing further is derived before they are written. */
  #pending: TileFile[] = [];
  #published: Published = { size: 0, checkpoint: "" };
  /** Whether this process wrote the partial files; those of an earlier one may be torn. */
  #edgeWritten = false;
  #last: Promise<void> = Promise.resolve();
  #audit: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #failing = false;

  constructor(options: TileWriterOptions) {
    this.#options = options;
    this.#builder = this.#resume();
  }

  get published(): Published {
    return this.#published;
  }

  /** Tiles of what is published, the part of the right edge that is not full included. */
  readonly readTile: TileReader = (level, index, width) =>
    this.#builder.partial(level, index, width) ?? this.#readFull(tilePath(level, index));

  /** Catches up with the database, then reads the log from its beginning (THREAT-06). */
  start(marks: readonly Mark[]): void {
    this.#audit = this.flush().then(() => this.#runAudit(marks));
  }

  /** The log or its cosignature moved: to be published within `delayMs`. */
  changed(): void {
    this.#schedule(this.#options.delayMs ?? DELAY_MS);
  }

  /** Publishes now. Never rejects: a failure is an event, and tried again. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#last = this.#last.then(() => this.#publishOrRetry());
    return this.#last;
  }

  /** After a proof that did not verify: some file is not what was written. */
  repair(): void {
    this.#audit = this.#audit.then(() => this.#runAudit([]));
  }

  #schedule(delayMs: number): void {
    if (this.#stop.signal.aborted) return;
    this.#timer ??= setTimeout(() => void this.flush(), delayMs).unref();
  }

  async #publishOrRetry(): Promise<void> {
    const { log, events, halt } = this.#options;
    if (this.#stop.signal.aborted || log.halted !== undefined) return;
    try {
      await this.#publish();
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
    const { log, store, folder, onPublished } = this.#options;
    const until = log.size;
    await this.#writePending();
    while (this.#builder.size < until && !this.#stop.signal.aborted) {
      this.#pending = deriveSlice(this.#builder, { store, log, until });
      await this.#writePending();
    }
    const size = this.#builder.size;
    const checkpoint = this.#checkpointAt(size);
    if (checkpoint === this.#published.checkpoint && this.#edgeWritten) return;
    if (size !== this.#published.size || !this.#edgeWritten)
      for (const file of this.#builder.partials()) await folder.write(file);
    if (size > 0) await folder.write({ path: CHECKPOINT_FILE, bytes: Buffer.from(checkpoint) });
    this.#edgeWritten = true;
    this.#published = { size, checkpoint };
    onPublished();
  }

  /** docs/spec/logs.md §5: the newest checkpoint, with every signature that is known for it. */
  #checkpointAt(size: number): string {
    const { log, store } = this.#options;
    if (size === 0) return "";
    if (log.cosigned?.size === size) return log.cosigned.note;
    const batch = store.batchEndingAt(log.origin, size);
    if (!batch) throw historyError(`No batch ends at ${size}`);
    return batch.checkpoint;
  }

  async #writePending(): Promise<void> {
    for (let file = this.#pending[0]; file; file = this.#pending[0]) {
      // oxlint-disable-next-line no-await-in-loop -- in order, so that a failure leaves the rest for the next time
      await this.#options.folder.writeFull(file);
      this.#pending.shift();
    }
  }

  #readFull(path: string): Buffer {
    return (
      this.#pending.find((file) => file.path === path)?.bytes ?? this.#options.folder.read(path)
    );
  }

  async #runAudit(marks: readonly Mark[]): Promise<void> {
    const { log, events, halt } = this.#options;
    if (this.#builder.size === 0 || log.halted !== undefined) return;
    const here = { size: this.#builder.size, root: this.#builder.range.root(), what: "the log" };
    try {
      await auditLog(this.#options, [...marks, here], {
        signal: this.#stop.signal,
        onRepair: (path) => events.tileRepaired(log.origin, path),
      });
      if (!this.#stop.signal.aborted) events.audited(log.origin, here.size);
    } catch (error) {
      if (isHistoryError(error)) halt(log, error);
      else events.tilesFailed(log.origin, error);
    }
  }

  /** Goes on from what is published, if a signed checkpoint proves it; else everything is derived anew. */
  #resume(): TileBuilder {
    const { log, events } = this.#options;
    try {
      return this.#resumeFromFiles() ?? new TileBuilder();
    } catch (error) {
      events.publishedUnusable(log.origin, error);
      return new TileBuilder();
    }
  }

  #resumeFromFiles(): TileBuilder | undefined {
    const { log, store, folder } = this.#options;
    const note = folder.readIfThere(CHECKPOINT_FILE)?.toString("utf8");
    if (note === undefined) return undefined;
    const { size, root } = openFullCheckpoint(note, log.identity);
    const read: TileReader = (level, index, width) =>
      folder.readIfThere(tilePath(level, index, width)) ?? folder.read(tilePath(level, index));
    const bundle = storedEntries(store, log, size - (size % 256), size);
    const builder = TileBuilder.resume(size, read, bundle);
    if (!builder.range.root().equals(root)) throw historyError("Published tiles are damaged");
    this.#published = { size, checkpoint: note };
    return builder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#last;
    await this.#audit;
  }
}

function storedEntries(store: Store, log: Log, from: number, to: number): Buffer[] {
  const entries: Buffer[] = [];
  for (const { first, n, entries: bundle } of store.batches(log.origin, from, to - from)) {
    const batch = splitEntries(bundle, n, log.identity.kind);
    entries.push(...batch.slice(Math.max(0, from - first), Math.max(0, to - first)));
  }
  return entries;
}

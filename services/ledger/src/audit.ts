import { setTimeout as sleep } from "node:timers/promises";
import { errorCode, errorLine, nowSeconds, type Clock } from "@redoubt/base";
import { EMPTY_ROOT } from "@redoubt/tlog";
import { encodeAuditMark, openAuditMark, type AuditMark } from "./audit-mark.ts";
import { checkBodies } from "./bodies.ts";
import { splitEntries } from "./entries.ts";
import { historyError, isHistoryError } from "./errors.ts";
import type { LedgerEvents } from "./events.ts";
import { openFullCheckpoint } from "./history.ts";
import type { Log, LogIdentity } from "./log.ts";
import { resumeTiles } from "./resume-tiles.ts";
import type { BatchWithBodies, Store } from "./store.ts";
import { TileBuilder, type TileFile } from "./tile-builder.ts";
import type { TileFolder } from "./tile-folder.ts";

export interface AuditOptions {
  readonly log: Log;
  readonly store: Store;
  readonly folder: TileFolder;
  readonly events: LedgerEvents;
  readonly clock: Clock;
  readonly halt: (log: Log, error: unknown) => void;
  /** Stores how far it is, and deals with a failure itself. */
  readonly keepMark: (log: Log, note: string) => void;
  /** The size up to which all files are written: nobody but the audit writes them again. */
  readonly writtenSize: () => number;
  /** The shortest time from the beginning of one reading of everything to that of the next. */
  readonly restMs?: number;
}

/** One turn of the event loop is not held longer than it takes to check about so much. */
const SLICE_ENTRIES = 512;
const SLICE_BATCHES = 8;
/** After each slice it pauses four times as long as the slice took: four fifths of the time are left to commits. */
const MIN_PAUSE_MS = 5;
const PAUSE_PER_WORK = 4;
/** After each reading it rests twenty times as long as that took: readings take a hundredth of one core. */
const REST_MS = 3_600_000;
const REST_PER_READING = 20;
/** The mark is stored each time when so many entries were read: a restart reads no more than these again. */
const MARK_EVERY = 65_536;

/**
 * Reads the whole log in the background, in small slices, because a start checks its newest state only. THREAT-06:
 * each row continues the one before it, holds the bodies that its entries commit to, and carries a checkpoint by log
 * and writer of exactly the tree so far; what is wrong there halts the log. Each full tile and bundle is the one that
 * the rows give; what is wrong there is written again.
 *
 * First comes what nobody has read yet, then everything from the beginning, again and again.
 */
export class Audit implements AsyncDisposable {
  readonly #options: AuditOptions;
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #mark: AuditMark;
  #isWanted = false;

  constructor(options: AuditOptions) {
    this.#options = options;
    const { store, log, clock } = options;
    const note = store.auditMark(log.origin);
    const now = nowSeconds(clock);
    this.#mark = (note !== undefined && openAuditMark(note, log.identity, now)) || nothingRead(now);
  }

  /** What was read, found right and made durable. */
  get covered(): { readonly size: number; readonly root: Buffer } {
    return { size: this.#mark.size, root: this.#mark.root };
  }

  /** Begins once `written` resolves: files are then written as far as the log was at the start. */
  start(written: Promise<void>): void {
    this.#running = written.then(() => this.#run());
  }

  /** To be called when some file is not what was written: the next reading begins without a rest. */
  again(): void {
    this.#isWanted = true;
    this.#wake.abort();
  }

  async #run(): Promise<void> {
    const { log, events, clock, halt, restMs = REST_MS } = this.#options;
    while (!this.#isOver) {
      const startedAt = clock.monotonic();
      try {
        await this.#readAll();
      } catch (error) {
        if (isHistoryError(error)) return halt(log, error);
        events.auditFailed(log.origin, error);
      }
      const took = clock.monotonic() - startedAt;
      this.#wake = new AbortController();
      if (!this.#isWanted)
        await this.#pause(Math.max(restMs, took * REST_PER_READING), this.#wake.signal);
    }
  }

  async #readAll(): Promise<void> {
    const { log, writtenSize, events } = this.#options;
    this.#beginAgain();
    await this.#readNew(writtenSize());
    await this.#readAgain();
    if (this.#isOver || this.#mark.size === 0) return;
    this.#save();
    events.audited(log.origin, this.#mark.size);
  }

  #beginAgain(): void {
    const { clock, restMs = REST_MS } = this.#options;
    const now = nowSeconds(clock);
    const { size, again, begunSeconds } = this.#mark;
    const isDue = this.#isWanted || now - begunSeconds >= restMs / 1000;
    if (again < size || !isDue) return;
    this.#isWanted = false;
    this.#mark = { ...this.#mark, again: 0, begunSeconds: now };
  }

  /** What no earlier reading has covered. Its files may be lost in a power cut: here they become durable. */
  async #readNew(until: number): Promise<void> {
    const builder = this.#resumeNew();
    const isAgainDone = this.#mark.again === this.#mark.size;
    await this.#read(builder, until, { isNew: true }, (size) => {
      const again = isAgainDone ? size : this.#mark.again;
      this.#mark = { ...this.#mark, size, root: builder.range.root(), again };
    });
  }

  #resumeNew(): TileBuilder {
    try {
      return resumeTiles(this.#options, this.#mark);
    } catch {
      // The tiles at the mark are gone, or rows before it have changed: everything counts as unread.
      this.#mark = nothingRead(nowSeconds(this.#options.clock));
      return new TileBuilder();
    }
  }

  async #readAgain(): Promise<void> {
    const { again, size } = this.#mark;
    if (again === size) return;
    await this.#read(this.#resumeAgain(again), size, { isNew: false }, (at) => {
      this.#mark = { ...this.#mark, again: at };
    });
  }

  #resumeAgain(size: number): TileBuilder {
    const { store, log } = this.#options;
    const batch = size > 0 ? store.batchEndingAt(log.origin, size) : undefined;
    try {
      if (batch)
        return resumeTiles(this.#options, openFullCheckpoint(batch.checkpoint, log.identity));
    } catch {
      // Whatever is wrong there, a reading from the beginning comes to it.
    }
    return new TileBuilder();
  }

  async #read(
    builder: TileBuilder,
    until: number,
    { isNew }: { readonly isNew: boolean },
    onRead: (size: number) => void,
  ): Promise<void> {
    const { clock } = this.#options;
    while (builder.size < until && !this.#isOver) {
      const [startedAt, from] = [clock.monotonic(), builder.size];
      const files = this.#checkSlice(builder, until);
      for (const file of files) await this.#confirm(file, isNew);
      onRead(builder.size);
      if (Math.floor(from / MARK_EVERY) !== Math.floor(builder.size / MARK_EVERY)) this.#save();
      const took = clock.monotonic() - startedAt;
      await this.#pause(Math.max(MIN_PAUSE_MS, took * PAUSE_PER_WORK));
    }
  }

  #checkSlice(builder: TileBuilder, until: number): TileFile[] {
    const { store, log } = this.#options;
    const files: TileFile[] = [];
    const start = builder.size;
    for (const batch of readRows(store, log.origin, start)) {
      if (builder.size >= until || builder.size - start >= SLICE_ENTRIES) break;
      files.push(...checkBatch(builder, batch, log.identity));
    }
    if (builder.size === start) throw historyError(`Batch expected at ${start}, found none`);
    return files;
  }

  async #confirm(file: TileFile, isNew: boolean): Promise<void> {
    const { folder, log, events } = this.#options;
    const found = await folder.confirm(file, { isNew });
    if (found === "same") return;
    events.tileRepaired(log.origin, file.path);
    // A power cut may take a file that was not durable yet. It never changes one that was: that is an alarm.
    if (!isNew) events.tileDamaged(log.origin, file.path);
  }

  #save(): void {
    const { log, keepMark } = this.#options;
    keepMark(log, encodeAuditMark(log.identity, this.#mark));
  }

  get #isOver(): boolean {
    return this.#stop.signal.aborted || this.#options.log.halted !== undefined;
  }

  async #pause(ms: number, wake?: AbortSignal): Promise<void> {
    const { signal: stop } = this.#stop;
    try {
      const signal = wake ? AbortSignal.any([stop, wake]) : stop;
      await sleep(Math.min(ms, 2 ** 31 - 1), undefined, { signal, ref: false });
    } catch {
      // Woken or stopped: the caller looks.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

function nothingRead(now: number): AuditMark {
  return { size: 0, root: EMPTY_ROOT, again: 0, begunSeconds: now };
}

function readRows(store: Store, origin: string, from: number): BatchWithBodies[] {
  try {
    return store.bodies(origin, from, SLICE_BATCHES);
  } catch (error) {
    if (errorCode(error) !== "ERR_SQLITE_ERROR") throw error;
    throw historyError(`Rows from ${from} cannot be read`, error);
  }
}

/** Whoever has the database controls the row. */
function checkBatch(
  builder: TileBuilder,
  { first, n, entries: bundle, blobs, checkpoint }: BatchWithBodies,
  identity: LogIdentity,
): TileFile[] {
  if (first !== builder.size)
    throw historyError(`Batch expected at ${builder.size}, found at ${first}`);
  try {
    const entries = splitEntries(bundle, n, identity.kind);
    checkBodies(identity.kind, entries, blobs);
    const files = builder.append(entries);
    const { size, root } = openFullCheckpoint(checkpoint, identity);
    if (size !== builder.size || !root.equals(builder.range.root()))
      throw historyError("Checkpoint is that of another tree");
    return files;
  } catch (cause) {
    throw historyError(`Batch at ${first}: ${errorLine(cause)}`, cause);
  }
}

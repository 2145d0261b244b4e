import { closeSync, constants, lstatSync, mkdirSync, openSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { checkPrivateFolder, errorCode, readPrivateFile, writeFully } from "@redoubt/base";
import { logId, parseEntryBundle } from "@redoubt/tlog";
import { splitBlobs } from "@redoubt/wire";
import type { SignerEvents } from "../events.ts";
import type { SealedBatch } from "../issue/bodies.ts";

/** One batch as the ledger acknowledged it. */
export interface JournalBatch {
  /** Place of its first entry. */
  readonly first: number;
  readonly count: number;
  /** An entry bundle (C2SP tlog-tiles). */
  readonly entries: Uint8Array;
  /** Joined blobs (docs/spec/wire.md §1). */
  readonly blobs: Uint8Array;
}

export interface EntryJournalOptions {
  /** The signer's folder of journals. */
  readonly folder: string;
  /** Origin of the log. */
  readonly origin: string;
  readonly events: Pick<SignerEvents, "journalFailed">;
  readonly maxBytes?: number;
}

interface Segment {
  readonly path: string;
  /** The size of the log after the newest batch in it. */
  end: number;
  bytes: number;
}

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
/** length, CRC-32 of the rest, first: float64be, count, bytes of entries: uint32be. */
const HEADER_BYTES = 24;
/** More than the largest frame to the ledger. */
const MAX_RECORD_BYTES = 8 * 1024 * 1024;
const SEGMENT_BYTES = 4 * 1024 * 1024;
/** 15 minutes of `maxUnwitnessed` with 1,000 tokens a second. */
const MAX_BYTES = 512 * 1024 * 1024;

/** Batches that wait in memory to be written. A disk that is full is the ledger's too, as a rule: little is committed. */
const MAX_UNWRITTEN_BYTES = 8 * 1024 * 1024;

/**
 * What the ledger acknowledged and no witness has cosigned yet (ARCHITECTURE §5.3). If the log ends before that, these
 * entries go into the log that takes its place, or their tokens would look like forgeries. It is written without a
 * sync. That is enough where this process ends or the ledger loses its tail; where the whole machine fails, the ledger
 * has a synced copy of its own.
 */
export class EntryJournal implements Disposable {
  readonly #options: EntryJournalOptions;
  readonly #segments: Segment[];
  readonly #unwritten: JournalBatch[] = [];
  #file: number | undefined;
  #serial: number;
  #isFailing = false;

  constructor(options: EntryJournalOptions) {
    this.#options = options;
    const folder = journalFolder(options);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    checkPrivateFolder(folder);
    const names = segmentNames(folder);
    this.#segments = names.map((name) => {
      const path = join(folder, name);
      const last = readSegment(path).at(-1);
      return { path, end: last ? last.first + last.count : 0, bytes: lstatSync(path).size };
    });
    this.#serial = Number(names.at(-1) ?? 0);
  }

  /**
   * Written when this returns. If it cannot be, that is an event, and signing goes on, because the ledger has the batch.
   * It is tried again with the next batch: the disk may have room before a witness has cosigned this one.
   */
  append(batch: JournalBatch): void {
    this.#unwritten.push(batch);
    for (let [next] = this.#unwritten; next && this.#write(next); [next] = this.#unwritten)
      this.#unwritten.shift();
    while (sizeOf(this.#unwritten) > MAX_UNWRITTEN_BYTES) this.#unwritten.shift();
  }

  /** Returns whether it is written. */
  #write(batch: JournalBatch): boolean {
    const record = encodeRecord(batch);
    try {
      const segment = this.#segmentFor(record.length);
      if (!segment || this.#file === undefined) return this.#failed("ERR_JOURNAL_FULL");
      writeFully(this.#file, record, segment.path);
      segment.bytes += record.length;
      segment.end = endOf(batch);
      this.#isFailing = false;
      return true;
    } catch (error) {
      // A record may have been cut short: what follows goes where it can be read.
      this.#endSegment();
      return this.#failed(errorCode(error));
    }
  }

  /** The witness holds this size: what came before it needs no journal. */
  cosigned(size: number): void {
    for (let [next] = this.#unwritten; next && endOf(next) <= size; [next] = this.#unwritten)
      this.#unwritten.shift();
    const [newest] = this.#segments.slice(-1);
    if (newest && newest.end <= size) this.#endSegment();
    while (this.#segments[0] && this.#segments[0].end <= size) {
      const [done] = this.#segments.splice(0, 1);
      if (done) rmSync(done.path, { force: true });
    }
  }

  #segmentFor(bytes: number): Segment | undefined {
    // The sum is cheap: there are few segments, except while the witness is away for long.
    const held = this.#segments.reduce((sum, segment) => sum + segment.bytes, bytes);
    if (held > (this.#options.maxBytes ?? MAX_BYTES)) return undefined;
    const newest = this.#segments.at(-1);
    if (this.#file !== undefined && newest && newest.bytes < SEGMENT_BYTES) return newest;
    this.#endSegment();
    this.#serial += 1;
    const path = join(journalFolder(this.#options), String(this.#serial).padStart(12, "0"));
    this.#file = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW, 0o600);
    const segment = { path, end: 0, bytes: 0 };
    this.#segments.push(segment);
    return segment;
  }

  #endSegment(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #failed(code: string): false {
    if (!this.#isFailing) this.#options.events.journalFailed(code);
    this.#isFailing = true;
    return false;
  }

  [Symbol.dispose](): void {
    this.#endSegment();
  }
}

/** The batches of a log that are in its journal, oldest first. One that was cut short ends its segment. */
export function readJournal(where: { readonly folder: string; readonly origin: string }): {
  readonly first: number;
  readonly sealed: SealedBatch;
}[] {
  const folder = journalFolder(where);
  return segmentNames(folder)
    .flatMap((name) => readSegment(join(folder, name)))
    .map(({ first, entries, blobs }) => ({
      first,
      sealed: { entries: parseEntryBundle(entries), blobs: splitBlobs(Buffer.from(blobs)) },
    }));
}

export function removeJournal(where: { readonly folder: string; readonly origin: string }): void {
  rmSync(journalFolder(where), { recursive: true, force: true });
}

function journalFolder({
  folder,
  origin,
}: {
  readonly folder: string;
  readonly origin: string;
}): string {
  return join(folder, logId(origin));
}

function segmentNames(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => /^\d{12}$/.test(name))
      .toSorted();
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

function endOf({ first, count }: JournalBatch): number {
  return first + count;
}

function sizeOf(batches: readonly JournalBatch[]): number {
  return batches.reduce((sum, { entries, blobs }) => sum + entries.length + blobs.length, 0);
}

function encodeRecord({ first, count, entries, blobs }: JournalBatch): Buffer {
  const record = Buffer.alloc(HEADER_BYTES + entries.length + blobs.length);
  record.writeUInt32BE(record.length, 0);
  record.writeDoubleBE(first, 8);
  record.writeUInt32BE(count, 16);
  record.writeUInt32BE(entries.length, 20);
  record.set(entries, HEADER_BYTES);
  record.set(blobs, HEADER_BYTES + entries.length);
  record.writeUInt32BE(crc32(record.subarray(8)), 4);
  return record;
}

function readSegment(path: string): JournalBatch[] {
  const bytes = readPrivateFile(path, SEGMENT_BYTES + MAX_RECORD_BYTES);
  const batches: JournalBatch[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = bytes.readUInt32BE(at);
    const record = bytes.subarray(at, at + length);
    const isWhole = length >= HEADER_BYTES && record.length === length;
    if (!isWhole || crc32(record.subarray(8)) !== record.readUInt32BE(4)) break;
    const middle = HEADER_BYTES + record.readUInt32BE(20);
    batches.push({
      first: record.readDoubleBE(8),
      count: record.readUInt32BE(16),
      entries: record.subarray(HEADER_BYTES, middle),
      blobs: record.subarray(middle),
    });
    at += length;
  }
  return batches;
}

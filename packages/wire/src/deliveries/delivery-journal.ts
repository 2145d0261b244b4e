import { closeSync, constants, openSync, renameSync, rmSync } from "node:fs";
import { uptime } from "node:os";
import { errorCode, privateFileExists, readPrivateFile, writeFully } from "@redoubt/base";
import type { DeliveryEvents } from "./events.ts";

export interface DeliveryJournalOptions {
  readonly path: string;
  readonly events: Pick<DeliveryEvents, "journalFailed">;
  /** When the machine started, in seconds since the epoch; replaceable in tests. */
  readonly bootSeconds?: () => number;
}

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
/** `RDTDELV1`, and when the machine started: float64be. */
const MAGIC = Buffer.from("RDTDELV1", "latin1");
const HEADER_BYTES = 16;
const DIGEST_BYTES = 32;
const REWRITE_BYTES = 1024 * 1024;
/** Well above what it can hold: the digests that wait in memory (4 MiB), and what is written until a rewrite. */
const MAX_BYTES = 16 * 1024 * 1024;
/** What `uptime` and the clock may differ by from one start to the next; more is another boot, or another clock. */
const BOOT_TOLERANCE_SECONDS = 5;

/**
 * Digests of tokens that came and are not acknowledged yet, so that a process that is killed has forgotten none
 * (THREAT-28). Each is written before its token leaves. Nothing is synced: the file survives the end of the process,
 * and not that of the machine.
 */
export class DeliveryJournal implements Disposable {
  /** What an earlier process had not reported, oldest first, base64url. */
  readonly found: readonly string[];
  /** Whether `found` is all of it: false without a journal of this boot of the machine. */
  readonly isComplete: boolean;
  readonly #options: DeliveryJournalOptions;
  readonly #header: Buffer;
  #file: number | undefined;
  #bytes = 0;

  constructor(options: DeliveryJournalOptions) {
    const { path, bootSeconds = systemBoot } = options;
    this.#options = options;
    this.#header = headerOf(bootSeconds());
    const bytes = privateFileExists(path) ? readPrivateFile(path, MAX_BYTES) : Buffer.alloc(0);
    const isOurs = bytes.length >= HEADER_BYTES && bytes.subarray(0, 8).equals(MAGIC);
    this.found = isOurs ? digestsOf(bytes.subarray(HEADER_BYTES)) : [];
    this.isComplete = isOurs && isSameBoot(bytes.readDoubleBE(8), bootSeconds());
    this.#rewrite(this.found);
  }

  /** Written when this returns. If it cannot be, that is an event, and the file is removed: it would not be complete. */
  add(digest: string): void {
    if (this.#file === undefined) return;
    try {
      writeFully(this.#file, Buffer.from(digest, "base64url"), this.#options.path);
      this.#bytes += DIGEST_BYTES;
    } catch (error) {
      this.#give(error);
    }
  }

  /** To be called after each acknowledgement, with what is still unacknowledged. Rewrites the file only now and then. */
  acknowledged(waiting: () => readonly string[]): void {
    if (this.#file !== undefined && this.#bytes < REWRITE_BYTES) return;
    this.#rewrite(waiting());
  }

  /** Nothing is left to report. */
  finished(): void {
    this[Symbol.dispose]();
    rmSync(this.#options.path, { force: true });
  }

  /** Replaces the file by one that holds these; a crash leaves the old one or the new one. */
  #rewrite(digests: readonly string[]): void {
    const { path } = this.#options;
    const temporary = `${path}.new`;
    const bytes = Buffer.concat([
      this.#header,
      ...digests.map((digest) => Buffer.from(digest, "base64url")),
    ]);
    this[Symbol.dispose]();
    try {
      rmSync(temporary, { force: true });
      const flags = O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW;
      this.#file = openSync(temporary, flags, 0o600);
      writeFully(this.#file, bytes, path);
      renameSync(temporary, path);
      this.#bytes = bytes.length;
    } catch (error) {
      this.#give(error);
    }
  }

  #give(error: unknown): void {
    this[Symbol.dispose]();
    this.#options.events.journalFailed(errorCode(error));
    rmSync(this.#options.path, { force: true });
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

function headerOf(bootSeconds: number): Buffer {
  const time = Buffer.alloc(8);
  time.writeDoubleBE(bootSeconds);
  return Buffer.concat([MAGIC, time]);
}

function isSameBoot(written: number, now: number): boolean {
  return Math.abs(written - now) <= BOOT_TOLERANCE_SECONDS;
}

/** A record that was cut short belongs to a token that did not leave. */
function digestsOf(bytes: Buffer): string[] {
  const count = Math.floor(bytes.length / DIGEST_BYTES);
  const at = (i: number): Buffer => bytes.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES);
  return Array.from({ length: count }, (_, i) => at(i).toString("base64url"));
}

/** The same for each process of one boot, also after the machine slept. */
function systemBoot(): number {
  return Date.now() / 1000 - uptime();
}

import { appendFileSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { EventLines, systemClock, type EventClasses } from "@redoubt/base";

/** How much of what one process writes is kept: `files` files, the newest among them, of about `fileBytes` each. */
export interface LogFileLimits {
  readonly fileBytes: number;
  readonly files: number;
}

const MIB = 1024 * 1024;
/** 32 MiB. */
const OPERATION: LogFileLimits = { fileBytes: 16 * MIB, files: 2 };
/** 128 MiB, which nothing but security events can fill. */
const SECURITY: LogFileLimits = { fileBytes: 16 * MIB, files: 8 };

/** How `EventLines` begins the line of a security event; no field of another event can come before and imitate it. */
const IS_SECURITY = /^\{"at":"[^"]{1,40}","service":"[^"]{1,64}","class":"security",/;

/** The event lines of one process: security events in a file of their own, which no other event can wash away. */
export class LogFiles {
  readonly #operation: LogFile;
  readonly #security: LogFile;

  constructor(folder: string, service: string) {
    this.#operation = new LogFile(join(folder, `${service}.ndjson`), OPERATION);
    this.#security = new LogFile(join(folder, `${service}.security.ndjson`), SECURITY);
  }

  /** Lines that could not be written since the start. */
  get lost(): number {
    return this.#operation.lost + this.#security.lost;
  }

  append(line: string): void {
    (IS_SECURITY.test(line) ? this.#security : this.#operation).append(line);
  }
}

const OWN_EVENTS = {
  lines_dropped: "security",
  lines_lost: "security",
} as const satisfies EventClasses;

/** Lines on disk. When the oldest file is dropped, a line in the newest says how many lines it had. */
export class LogFile {
  readonly #path: string;
  readonly #limits: LogFileLimits;
  readonly #own: EventLines<keyof typeof OWN_EVENTS>;
  #lost = 0;
  #allLost = 0;

  constructor(path: string, limits: LogFileLimits) {
    this.#path = path;
    this.#limits = limits;
    this.#own = new EventLines({
      write: (line) => this.#write(line),
      clock: systemClock,
      service: "supervisor",
      classes: OWN_EVENTS,
    });
  }

  get lost(): number {
    return this.#allLost;
  }

  append(line: string): void {
    try {
      if (sizeOf(this.#path) > this.#limits.fileBytes) this.#rotate();
      if (this.#lost > 0) this.#own.sink("lines_lost", { count: this.#lost });
      this.#lost = 0;
      this.#write(`${line}\n`);
    } catch {
      // Disk full: the processes go on, their alarms still reach the terminal, and the next line says what is missing.
      this.#lost += 1;
      this.#allLost += 1;
    }
  }

  #rotate(): void {
    const names = Array.from({ length: this.#limits.files }, (_, i) =>
      i === 0 ? this.#path : `${this.#path}.${i}`,
    );
    const dropped = countLines(names.at(-1) ?? this.#path);
    for (let i = names.length - 1; i > 0; i--) move(names[i - 1] ?? "", names[i] ?? "");
    if (dropped > 0) this.#own.sink("lines_dropped", { count: dropped });
  }

  #write(text: string): void {
    appendFileSync(this.#path, text, { mode: 0o600 });
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? -1;
}

function move(from: string, to: string): void {
  if (sizeOf(from) >= 0) renameSync(from, to);
}

function countLines(path: string): number {
  if (sizeOf(path) < 0) return 0;
  let lines = 0;
  for (const byte of readFileSync(path)) if (byte === 0x0a) lines += 1;
  return lines;
}

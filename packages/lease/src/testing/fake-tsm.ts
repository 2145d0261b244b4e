import { basename, dirname } from "node:path";
import type { TsmFiles } from "../agent/tsm-files.ts";

interface Entry {
  inblob: Buffer | undefined;
  generation: number;
}

export interface FakeTsmOptions {
  readonly provider: string;
  /** What firmware signs over 64 bytes. */
  readonly makeReport: (inblob: Buffer) => Buffer;
  /** Undefined: there is no such attribute. */
  readonly auxblob?: Buffer | undefined;
  readonly privilegeFloor?: number;
}

/**
 * The folder of configfs-tsm as Linux has it (Documentation/ABI/testing/configfs-tsm-report): an entry has its attributes
 * from the beginning; each write counts; one of `inblob` that is refused is refused in silence, since the kernel looks at
 * it only when the file is closed; a report is made when it is read.
 */
export class FakeTsm implements TsmFiles {
  readonly entries = new Map<string, Entry>();
  /** All that were ever made. */
  readonly made: string[] = [];
  readonly levels: number[] = [];
  /** Called before each step; may throw as the kernel does, or write as somebody else would. */
  meddle: ((step: string, path: string) => void) | undefined;
  readonly #options: FakeTsmOptions;

  constructor(options: FakeTsmOptions) {
    this.#options = options;
  }

  async mkdir(path: string): Promise<void> {
    this.meddle?.("mkdir", path);
    if (this.entries.has(path)) throw failure("EEXIST");
    this.entries.set(path, { inblob: undefined, generation: 0 });
    this.made.push(path);
  }

  async rmdir(path: string): Promise<void> {
    this.meddle?.("rmdir", path);
    if (!this.entries.delete(path)) throw failure("ENOENT");
  }

  async write(path: string, data: Uint8Array): Promise<void> {
    const name = basename(path);
    this.meddle?.(`write ${name}`, path);
    const entry = this.#entry(path);
    if (name === "inblob") {
      if (data.length > 64) return;
      entry.inblob = Buffer.from(data);
    } else if (name === "privlevel") {
      const level = Number(Buffer.from(data).toString());
      if (level < (this.#options.privilegeFloor ?? 0)) throw failure("EINVAL");
      this.levels.push(level);
    } else throw failure("EACCES");
    entry.generation += 1;
  }

  async read(path: string): Promise<Buffer> {
    const name = basename(path);
    this.meddle?.(`read ${name}`, path);
    const entry = this.#entry(path);
    const { provider, auxblob, makeReport } = this.#options;
    if (name === "provider") return Buffer.from(`${provider}\n`);
    if (name === "generation") return Buffer.from(`${entry.generation}\n`);
    if (name === "auxblob" && auxblob !== undefined) return auxblob;
    if (name !== "outblob") throw failure("ENOENT");
    if (entry.inblob === undefined) throw failure("EINVAL");
    return makeReport(entry.inblob);
  }

  /** Somebody else, who found the entry, has a report made over other bytes. */
  intrude(path: string): void {
    const entry = this.#entry(path);
    entry.inblob = Buffer.alloc(64, 0xee);
    entry.generation += 1;
  }

  #entry(path: string): Entry {
    const entry = this.entries.get(dirname(path));
    if (entry === undefined) throw failure("ENOENT");
    return entry;
  }
}

export function failure(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code });
}

import { MemberReader, privateFileExists, readPrivateFile, writeDurable } from "@redoubt/base";
import { parseJsonObject } from "@redoubt/verify/json";

/** What a gateway remembers across its restarts. */
export interface Remembered {
  /** POSIX seconds: no clock that is right was ever earlier. */
  readonly seconds: number;
  /** Place of the newest lease in the broker's log; -1 where none was used. */
  readonly index: number;
  /** In how many further processes that lease was begun, after the one that began it first. */
  readonly restarts: number;
  /** How long that lease lasts yet, by the monotonic clocks of these processes. */
  readonly leftSeconds: number;
}

const NOTHING: Remembered = { seconds: 0, index: -1, restarts: 0, leftSeconds: 0 };

/**
 * The newest time and lease that this gateway saw, in a file: a clock that is set back, or a lease from before, is noticed
 * after a restart, too (THREAT-29, THREAT-30).
 */
export class TimeFloor {
  readonly #path: string;
  readonly #log: string;
  #remembered: Remembered;

  /**
   * @param log origin of the broker's log: places in another one say nothing of this one's
   * @throws ServiceError `ERR_FILE_*`, `ERR_REQUEST_MEMBER` for a file that is not ours
   */
  constructor(path: string, log: string) {
    this.#path = path;
    this.#log = log;
    this.#remembered = privateFileExists(path) ? read(path, log) : NOTHING;
  }

  get value(): Remembered {
    return this.#remembered;
  }

  /** Durable when it returns. What is said of a lease before the newest is not kept. */
  raise({ seconds, ...lease }: Remembered): void {
    const known = this.#remembered;
    const next = {
      ...(lease.index < known.index ? known : lease),
      seconds: Math.max(seconds, known.seconds),
    };
    writeDurable(this.#path, JSON.stringify({ v: 1, log: this.#log, ...next }));
    this.#remembered = next;
  }
}

function read(path: string, log: string): Remembered {
  const reader = new MemberReader(parseJsonObject(readPrivateFile(path, 1024)), "custody state");
  reader.integer("v", 1, 1);
  const of = reader.string("log", 256);
  const seconds = reader.integer("seconds", 0, Number.MAX_SAFE_INTEGER);
  const index = reader.integer("index", -1, Number.MAX_SAFE_INTEGER);
  // Absent in a file from before they were kept: the lease's own end is what holds then.
  const restarts = reader.optionalInteger("restarts", 0, Number.MAX_SAFE_INTEGER) ?? 0;
  const leftSeconds =
    reader.optionalInteger("leftSeconds", 0, Number.MAX_SAFE_INTEGER) ?? Number.MAX_SAFE_INTEGER;
  reader.done();
  return of === log ? { seconds, index, restarts, leftSeconds } : { ...NOTHING, seconds };
}

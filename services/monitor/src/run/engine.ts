import { errorCode, errorLine, isOutOfSpace, type Clock, type ReadSpace } from "@redoubt/base";
import { Cycle } from "./cycle.ts";
import { monitorError, type MonitorErrorCode } from "../errors.ts";
import { diskFull, diskHasRoom, tickFailed, type MonitorEvents } from "../events.ts";
import type { MonitorParts } from "./parts.ts";

export interface EngineOptions {
  /** The monitor's own folder. */
  readonly folder: string;
  readonly events: MonitorEvents;
  readonly clock: Pick<Clock, "monotonic">;
  readonly readSpace: ReadSpace;
  /** Opens the database and all that works on it. */
  readonly open: () => MonitorParts;
  /** The monitor can no longer keep what it acknowledged: the process must end. */
  readonly onFailure: (error: unknown) => void;
}

/** One opening of the database, and all that works on it. */
interface Run {
  readonly parts: MonitorParts;
  readonly cycle: Cycle;
  /** Rejects when the disk is full: a request that waits for something of this run is refused then. */
  readonly ended: Promise<never>;
  readonly end: (error: Error) => void;
}

const CODE = "ERR_MONITOR_DISK_FULL" satisfies MonitorErrorCode;
/**
 * The free space of a disk does not show that a quota is used up. Only trying does, and it is tried no more often
 * than this.
 */
const RETRY_MS = 5000;

/**
 * Runs one round after the other, never two at once. If the database cannot be written, memory may be ahead of it: so
 * a full disk ends the run as a crash would, and loses as little. Sockets and ports stay open, and every request is
 * refused with a code. A new run begins when there is room. After any other failure nothing more is done: the process
 * has to end.
 */
export class Engine implements AsyncDisposable {
  readonly #options: EngineOptions;
  #run: Run | undefined;
  #failure: string | undefined;
  #retryAt = -Infinity;
  #round: Promise<void> | undefined;
  #isEnded = false;

  /** @throws what `open` throws, unless it is that the disk is full */
  constructor(options: EngineOptions) {
    this.#options = options;
    this.#begin();
  }

  get parts(): MonitorParts | undefined {
    return this.#run?.parts;
  }

  /** Why nothing works; undefined while it does. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /**
   * Does the work of one request.
   *
   * @throws ServiceError `ERR_MONITOR_DISK_FULL`
   */
  async attempt<T>(work: (parts: MonitorParts) => T | Promise<T>): Promise<T> {
    const run = this.#run;
    if (!run) throw noRoom();
    try {
      return await Promise.race([work(run.parts), run.ended]);
    } catch (error) {
      if (isOutOfSpace(error, this.#options.folder)) throw this.#outOfSpace(run, error);
      throw error;
    }
  }

  tick(): Promise<void> {
    if (this.#isEnded) return Promise.resolve();
    this.#round ??= this.#tick().finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  /** Waits for the polls and webhooks that rounds began. */
  async settled(): Promise<void> {
    await this.#run?.cycle.settled();
  }

  async #tick(): Promise<void> {
    let run: Run | undefined;
    try {
      run = this.#run ?? this.#begin();
      await run?.cycle.tick();
    } catch (error) {
      if (this.#isEnded) return;
      if (run && isOutOfSpace(error, this.#options.folder)) this.#outOfSpace(run, error);
      else this.#fail(error);
    }
  }

  #begin(): Run | undefined {
    const { open, events, folder, clock, readSpace } = this.#options;
    if (clock.monotonic() < this.#retryAt) return undefined;
    try {
      if (readSpace(folder).level === "none") throw noRoom();
      const parts = open();
      const { promise: ended, reject: end } = Promise.withResolvers<never>();
      ended.catch(() => undefined);
      this.#run = { parts, cycle: new Cycle(parts), ended, end };
      if (this.#failure !== undefined) diskHasRoom(events);
      this.#failure = undefined;
    } catch (error) {
      if (errorCode(error) !== CODE && !isOutOfSpace(error, folder)) throw error;
      this.#noteFull(error);
    }
    return this.#run;
  }

  #outOfSpace(run: Run, error: unknown): Error {
    this.#noteFull(error);
    const failure = noRoom(error);
    if (this.#run !== run) return failure;
    this.#run = undefined;
    run.end(failure);
    run.parts.db[Symbol.dispose]();
    return failure;
  }

  #noteFull(error: unknown): void {
    if (this.#failure === undefined) diskFull(this.#options.events, { message: errorLine(error) });
    this.#failure = `${CODE}: ${errorLine(error)}`;
    this.#retryAt = this.#options.clock.monotonic() + RETRY_MS;
  }

  #fail(error: unknown): void {
    const { events, onFailure } = this.#options;
    this.#isEnded = true;
    tickFailed(events, { code: errorCode(error), message: errorLine(error) });
    onFailure(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true;
    await this.#round;
    await this.settled();
    this.#run?.parts.db[Symbol.dispose]();
  }
}

function noRoom(cause?: unknown): Error {
  const fields = { retryAfterSeconds: RETRY_MS / 1000 };
  return monitorError("ERR_MONITOR_DISK_FULL", "Disk is full, nothing can be kept", {
    cause,
    fields,
  });
}

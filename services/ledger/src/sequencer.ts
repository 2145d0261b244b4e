import { errorLine } from "@redoubt/base";
import { Draft, EDGE_EVERY, type Stage, type Staged } from "./draft.ts";
import { refusal, sizeRefusal, storageFailure } from "./errors.ts";
import type { LedgerEvents } from "./events.ts";
import type { Cosigned, Log } from "./log.ts";
import type { Store, StoredBatch } from "./store.ts";
import type { Growth } from "./tile-builder.ts";

interface Request {
  readonly log: Log;
  readonly stage: Stage;
  readonly resolve: (batch: StoredBatch) => void;
  readonly reject: (error: unknown) => void;
}

export interface SequencerOptions {
  readonly store: Store;
  readonly events: LedgerEvents;
  /** The log moved by this growth: what it holds is durable. */
  readonly onAdvance: (log: Log, growth: readonly Growth[]) => void;
  /** Storage can no longer be trusted: the process must end. */
  readonly onFatal: (error: unknown) => void;
  /** Reads a log again that another process advanced (THREAT-07). */
  readonly reload: (log: Log) => void;
  /** Whether the disk has any room. */
  readonly hasRoom: () => boolean;
  /** See `EDGE_EVERY`; tests set less. */
  readonly edgeEvery?: number;
}

const PROBE_MS = 1000;

/**
 * Orders what comes in. Everything of one event-loop turn goes into one transaction, whatever the log; nothing is
 * acknowledged before that transaction returned, and nothing in memory changes before it either.
 */
export class Sequencer {
  readonly #options: SequencerOptions;
  #queue: Request[] = [];
  /** Why nothing is written just now. */
  #problem: string | undefined;
  #probe: NodeJS.Timeout | undefined;
  #ended = false;
  #isHeld = false;
  #committed = 0;

  constructor(options: SequencerOptions) {
    this.#options = options;
  }

  /** Resolves once the batch is durable. */
  submit(log: Log, stage: Stage): Promise<StoredBatch> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ log, stage, resolve, reject });
      if (this.#queue.length === 1) setImmediate(() => this.#flush());
    });
  }

  /** Why storage takes nothing; undefined while it does. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Batches that became durable since the start. */
  get committed(): number {
    return this.#committed;
  }

  /** Refuses everything from now on. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#probe);
  }

  /** Stores the newest cosigned checkpoint. If that fails, nobody is told: a later one takes its place. */
  keepCosigned(log: Log, cosigned: Cosigned): void {
    this.#store((store) => store.putCosigned(log.origin, cosigned));
  }

  /** Stores how far the audit is. */
  keepMark(log: Log, note: string): void {
    this.#store((store) => store.putAuditMark(log.origin, note));
  }

  #flush(): void {
    const requests = this.#queue;
    this.#queue = [];
    const drafts = new Map<Log, Draft>();
    const staged: (Request & { readonly staged: Staged })[] = [];
    for (const request of requests) {
      try {
        staged.push({ ...request, staged: this.#stage(request, drafts) });
      } catch (error) {
        request.reject(error);
      }
    }
    const lost = this.#write(staged.map((one) => one.staged));
    if (lost instanceof Error) return staged.forEach(({ reject }) => reject(lost));
    for (const [log, draft] of drafts) this.#settle(log, draft, lost.has(log.origin));
    for (const { log, staged: done, resolve, reject } of staged) {
      if (lost.has(log.origin)) reject(sizeRefusal(log.size));
      else {
        if (done.kind === "new") this.#committed += 1;
        resolve(done.batch);
      }
    }
  }

  #stage({ log, stage }: Request, drafts: Map<Log, Draft>): Staged {
    if (this.#ended) throw refusal("ERR_LEDGER_IO", "Ledger is stopping");
    log.checkOpen();
    const draft = drafts.get(log) ?? new Draft(log, this.#options.edgeEvery ?? EDGE_EVERY);
    drafts.set(log, draft);
    return stage(draft);
  }

  /** The logs whose compare-and-swap was lost, or the refusal for everything. */
  #write(staged: readonly Staged[]): ReadonlySet<string> | Error {
    const batches = staged.flatMap((one) => (one.kind === "new" ? [one.batch] : []));
    if (batches.length === 0) return new Set();
    return this.#store((store) => store.write(batches));
  }

  /** Writes something; an error is the refusal for whoever asked. */
  #store<T>(write: (store: Store) => T): T | Error {
    const { store, events } = this.#options;
    try {
      const written = write(store);
      if (this.#problem !== undefined) events.storageRecovered();
      this.#problem = undefined;
      if (store.isCheckpointDue) setImmediate(() => this.#keepShort());
      return written;
    } catch (error) {
      return this.#fail(error);
    }
  }

  #settle(log: Log, draft: Draft, isLost: boolean): void {
    const { events, onAdvance, reload } = this.#options;
    if (isLost) {
      reload(log);
      events.compareAndSwapLost(log.origin, log.size);
    } else if (draft.size > log.size) {
      log.advance(draft.head);
      onAdvance(log, draft.growth);
    }
  }

  /** Copies the write-ahead log out, between commits, so that none waits for it. */
  #keepShort(): void {
    const { store, events } = this.#options;
    if (this.#ended || !store.isCheckpointDue) return;
    try {
      const isHeld = !store.checkpoint();
      if (isHeld !== this.#isHeld) events.walHeld(isHeld);
      this.#isHeld = isHeld;
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Tries a write without being asked: callers that were refused may not come back. */
  #tryAgain(): void {
    if (this.#ended || this.#problem === undefined) return;
    // On a full disk a small write still fits into a write-ahead log that is long already; a batch would not.
    if (this.#options.hasRoom()) this.#store((store) => store.probe());
    else this.#probeLater();
  }

  #probeLater(): void {
    clearTimeout(this.#probe);
    this.#probe = setTimeout(() => this.#tryAgain(), PROBE_MS).unref();
  }

  #fail(error: unknown): Error {
    const failure = storageFailure(error);
    const { events, onFatal } = this.#options;
    if (this.#problem === undefined || failure.isFatal)
      events.storageFailed(error, failure.isFatal);
    this.#problem = `${failure.refusal.code}: ${errorLine(failure.refusal)}`;
    if (failure.isFatal) {
      this.end();
      onFatal(failure.refusal);
    } else this.#probeLater();
    return failure.refusal;
  }
}

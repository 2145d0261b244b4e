import { errorCode, ServiceError } from "@redoubt/base";
import {
  CompactRange,
  encodeCheckpoint,
  encodeEntryBundle,
  openCheckpoint,
  signNote,
  type NoteSigner,
  type TreeHead,
} from "@redoubt/tlog";
import {
  ask,
  joinBlobs,
  LEDGER,
  type LogSource,
  proveGrowth,
  readLogState,
  RemoteError,
} from "@redoubt/wire";
import type { SignerEvents } from "../events.ts";
import type { SealedBatch } from "../issue/bodies.ts";
import { Sleeper } from "../run/sleeper.ts";
import type { EntryJournal } from "./entry-journal.ts";
import type { Cosigned, WitnessGuard } from "./witness-guard.ts";

export interface LogWriterOptions extends LogSource {
  readonly writer: NoteSigner;
  readonly guard: WitnessGuard;
  readonly events: SignerEvents;
  readonly journal: Pick<EntryJournal, "append" | "cosigned">;
  /** Called once, when the log is halted: nothing is signed any more until somebody has looked. */
  readonly onHalt: (reason: string) => void;
}

/** What is sent for one batch, always with the same bytes. */
interface Batch {
  readonly first: number;
  readonly count: number;
  /** The tree with this batch; never changed. */
  readonly range: CompactRange;
  readonly body: string;
  readonly note: string;
  readonly entries: Buffer;
  readonly blobs: Buffer;
}

interface Pending extends Batch {
  readonly done: (first: number) => void;
  readonly failed: (error: Error) => void;
}

const REMEMBERED_ROOTS = 8192;
const RETRY_MS = [10, 25, 50, 100, 250, 500] as const;
const LAST_RETRY_MS = 1000;

/**
 * The only writer of one issuance log (P3). It predicts each root with its own compact range and signs it; a batch
 * counts as committed only when the ledger's checkpoint says exactly that root: inclusion and append-only in one check.
 */
export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #roots = new Map<number, Buffer>();
  readonly #queue: Pending[] = [];
  readonly #sleeper = new Sleeper();
  /** The newest tree that the ledger acknowledged. */
  #acknowledged = CompactRange.empty();
  /** The tree after every batch that was sent. */
  #predicted = CompactRange.empty();
  #halted: string | undefined;
  #isDown = false;
  #isClosed = false;
  #isResending = false;
  #refusedNote = "";

  constructor(options: LogWriterOptions) {
    this.#options = options;
  }

  /** Entries that the ledger acknowledged. */
  get size(): number {
    return this.#acknowledged.size;
  }

  get tree(): TreeHead {
    return this.#acknowledged.head;
  }

  /** Batches that wait for their acknowledgement. */
  get pending(): number {
    return this.#queue.length;
  }

  /** @throws ServiceError when nothing may be committed */
  check(): void {
    this.checkIntact();
    if (this.#isDown || this.#isClosed)
      throw new ServiceError("ERR_SIGNER_LOG", "Log cannot commit", {
        fields: { retryAfterSeconds: 1 },
      });
  }

  /** @throws ServiceError when the log was found to be another than this writer's: nothing may be signed */
  checkIntact(): void {
    if (this.#halted !== undefined)
      throw new ServiceError("ERR_SIGNER_LOG", `Log is halted: ${this.#halted}`);
  }

  /** Takes up the log where it stands, after proving that it holds every tree that is known of it. */
  async open(known: readonly TreeHead[]): Promise<void> {
    const { origin, events } = this.#options;
    const { range, cosigned } = await readLogState(this.#options, known);
    this.#acknowledged = range;
    this.#predicted = range;
    this.#remember(range);
    if (range.size > 0) this.#options.guard.begin(range.size);
    events.opened(origin, range.size);
    await this.#takeCosigned(cosigned);
  }

  /** Resolves with the place of the first entry when the batch is durable in exactly the predicted tree. */
  submit(sealed: SealedBatch): Promise<number> {
    this.check();
    // Nothing is changed before this line: a batch that cannot be made leaves no trace.
    const batch = this.#sign(sealed);
    this.#predicted = batch.range;
    this.#options.guard.begin(batch.range.size);
    const { promise, resolve: done, reject: failed } = Promise.withResolvers<number>();
    const pending = { ...batch, done, failed };
    this.#queue.push(pending);
    void this.#send(pending);
    return promise;
  }

  #sign({ entries, blobs }: SealedBatch): Batch {
    const { origin, writer } = this.#options;
    const range = this.#predicted.clone();
    range.appendEntries(entries);
    const body = encodeCheckpoint({ origin, ...range.head });
    return {
      first: this.#predicted.size,
      count: entries.length,
      range,
      body,
      entries: encodeEntryBundle(entries),
      blobs: joinBlobs(blobs),
      note: signNote(body, [writer]),
    };
  }

  /** The first attempt of a batch. It does not wait for the batches that are under way. */
  async #send(batch: Pending): Promise<void> {
    try {
      await this.#commit(batch);
      this.#settle(batch.range.size);
    } catch (error) {
      // An acknowledgement of a later batch may have settled this one meanwhile: then nothing is lost.
      if (this.#queue.includes(batch)) this.#recover(error);
    }
  }

  async #commit(batch: Batch): Promise<void> {
    const { client, origin } = this.#options;
    const { first, count, note, entries, blobs } = batch;
    const { checkpoint, cosigned } = await ask(
      client,
      LEDGER.commit,
      { log: origin, first, count, checkpoint: note, entriesBytes: entries.length },
      Buffer.concat([entries, blobs]),
    );
    this.checkIntact();
    this.#checkAcknowledged(batch, checkpoint);
    // Not awaited: checking a cosignature must not delay the tokens of a batch that is committed.
    void this.#takeCosigned(cosigned);
  }

  /** P3: exactly the predicted tree under both signatures, or nothing is signed. */
  #checkAcknowledged({ body, note }: Batch, acknowledged: string): void {
    const { origin, logKey } = this.#options;
    const opened = openCheckpoint(acknowledged, { origin, verifiers: [logKey] });
    if (opened.body !== body) throw this.#halt("the ledger committed another tree");
    // docs/spec/logs.md §3: our own line is still there, or no witness would take this checkpoint.
    if (!acknowledged.includes(note.slice(body.length + 1)))
      throw new ServiceError("ERR_LOG_CHECKPOINT", "Ledger dropped the writer's signature");
  }

  /** Everything up to `size` is durable: an acknowledgement of a batch covers those before it. */
  #settle(size: number): void {
    for (let [batch] = this.#queue; batch && batch.range.size <= size; [batch] = this.#queue) {
      this.#queue.shift();
      this.#options.journal.append(batch);
      this.#acknowledged = batch.range;
      this.#remember(batch.range);
      batch.done(batch.first);
    }
  }

  /** What is not acknowledged goes again, in order and unchanged, until the ledger takes it. */
  #recover(error: unknown): void {
    if (this.#isResending || this.#isClosed || this.#halted !== undefined) return;
    this.#isDown = true;
    this.#isResending = true;
    this.#options.events.logLost(errorCode(error));
    void this.#resend();
  }

  async #resend(): Promise<void> {
    let attempt = 0;
    for (let [batch] = this.#queue; batch; [batch] = this.#queue) {
      try {
        await this.#commit(batch);
        this.#settle(batch.range.size);
        attempt = 0;
      } catch (error) {
        if (isForeignTree(error) && this.#queue[0] === batch)
          this.#halt("the ledger holds other entries at this place");
        await this.#sleeper.sleep(RETRY_MS[attempt] ?? LAST_RETRY_MS);
        attempt += 1;
      }
    }
    this.#isResending = false;
    if (this.#halted !== undefined || this.#isClosed) return;
    this.#isDown = false;
    this.#options.events.logBack();
  }

  #failAll(): void {
    const error = new ServiceError("ERR_SIGNER_LOG", "Log cannot commit");
    for (const batch of this.#queue.splice(0)) batch.failed(error);
  }

  /** Asks for the newest cosignature. An idle log needs this, since no answer to a commit brings it. */
  async refreshCosigned(): Promise<void> {
    const { client, origin } = this.#options;
    const { cosigned } = await ask(client, LEDGER.state, { log: origin });
    await this.#takeCosigned(cosigned);
  }

  /** Takes a cosigned checkpoint only when it is of a tree that this writer built. Never rejects. */
  async #takeCosigned(note: string = ""): Promise<void> {
    const { guard, events, origin } = this.#options;
    if (note === "" || note === this.#refusedNote) return;
    try {
      const cosigned = guard.open(note);
      if (!(await this.#isOurs(cosigned))) return;
      guard.accept(cosigned);
      this.#options.journal.cosigned(cosigned.size);
    } catch (error) {
      // A bad cosignature vouches for nothing; the age of the last good one decides.
      this.#refusedNote = note;
      events.cosignatureRefused(origin, errorCode(error));
    }
  }

  async #isOurs({ size, root }: Cosigned): Promise<boolean> {
    const known = this.#roots.get(size);
    if (known) {
      if (known.equals(root)) return true;
      throw this.#halt("a witness cosigned another tree of this log");
    }
    const range = this.#acknowledged;
    // The witness has seen more than was acknowledged to us. We take this cosignature when it comes again.
    if (size > range.size) return false;
    await proveGrowth(this.#options.client, this.#options.origin, { size, root }, range.head);
    return true;
  }

  #remember(range: CompactRange): void {
    this.#roots.set(range.size, range.root());
    const [oldest] = this.#roots.keys();
    if (this.#roots.size > REMEMBERED_ROOTS && oldest !== undefined) this.#roots.delete(oldest);
  }

  /** The operator closed this log: nothing more is committed to it. */
  end(successor: string): ServiceError {
    return this.#halt(`closed; ${successor} takes its place`);
  }

  /** Halts the log for as long as this process runs: only a start, which checks the log again, ends that. */
  #halt(reason: string): ServiceError {
    if (this.#halted === undefined) {
      this.#halted = reason;
      this.#options.events.halted(reason);
      this.#options.onHalt(reason);
    }
    this.#failAll();
    return new ServiceError("ERR_SIGNER_LOG", `Log is halted: ${reason}`);
  }

  /** Ends at once: batches without an acknowledgement are refused, and not sent again. */
  close(): void {
    this.#isClosed = true;
    this.#sleeper.close();
    this.#failAll();
  }
}

/** The place is taken by entries that are not ours: going on would be a fork. */
function isForeignTree(error: unknown): boolean {
  return (
    error instanceof RemoteError &&
    ["ERR_LEDGER_SIZE", "ERR_LEDGER_ROOT", "ERR_LEDGER_WRITER"].includes(error.code)
  );
}

import { nowSeconds, type Clock } from "@redoubt/base";
import {
  addSignature,
  encodeAddCheckpointRequest,
  isDatedAhead,
  openCheckpoint,
  parseWitnessSize,
  verifyCosignature,
  type VerifierKey,
} from "@redoubt/tlog";
import type { SizedCheckpoint } from "./checkpoint-file.ts";
import { historyError, isHistoryError } from "./errors.ts";
import type { LedgerEvents } from "./events.ts";
import type { Cosigned, Log } from "./log.ts";
import type { Prover } from "./proofs.ts";
import type { Store } from "./store.ts";
import type { TileWriter } from "./tile-writer.ts";
import type { WitnessAnswer, WitnessTransport } from "./witness-client.ts";

export interface SubmitterOptions {
  readonly log: Log;
  readonly store: Store;
  readonly tiles: TileWriter;
  readonly prover: Prover;
  readonly witness: VerifierKey;
  readonly transport: WitnessTransport;
  readonly clock: Clock;
  readonly events: LedgerEvents;
  readonly halt: (log: Log, error: unknown) => void;
  /** Stores it for the next start, and deals with a failure itself. */
  readonly keepCosigned: (log: Log, cosigned: Cosigned) => void;
  readonly intervalMs?: number;
  readonly refreshMs?: number;
}

/** P3: cosignatures follow within 5 s, so a changed log is submitted every second. */
export const SUBMIT_WITHIN_MS = 1000;
/** An unchanged checkpoint is cosigned again, because signers stop on the age of the newest cosignature. */
const REFRESH_MS = 15_000;
const LATE_SECONDS = 60;

/** Keeps the witness up to date with one log, and stops the log if the witness remembers another one. */
export class WitnessSubmitter implements AsyncDisposable {
  readonly #options: SubmitterOptions;
  /** What the witness holds, as far as we know; its answer 409 corrects it. */
  #witnessSize: number;
  #submittedAt = -Infinity;
  #cosignedAt: number;
  #isLate = false;
  #isAhead = false;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Infinity;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(options: SubmitterOptions) {
    this.#options = options;
    this.#witnessSize = options.log.cosigned?.size ?? 0;
    this.#cosignedAt = options.clock.monotonic();
  }

  /** The first submission does not wait: the witness may remember more than this database does (THREAT-30). */
  start(): void {
    if (this.#options.tiles.written.size > 0) this.#schedule(0);
  }

  /** To be called when the tiles of a new size are written. */
  changed(): void {
    const { log, clock, tiles, intervalMs = SUBMIT_WITHIN_MS } = this.#options;
    const { size } = tiles.written;
    if (size === 0 || size === log.cosigned?.size) return;
    // A log that was empty until now is not late: its time begins here.
    if (this.#submittedAt === -Infinity) this.#cosignedAt = clock.monotonic();
    this.#schedule(this.#submittedAt + intervalMs - clock.monotonic());
  }

  /** Seconds since the last cosignature, or since the start. */
  get ageSeconds(): number {
    return Math.floor((this.#options.clock.monotonic() - this.#cosignedAt) / 1000);
  }

  #schedule(delayMs: number): void {
    if (this.#closed || this.#options.log.halted !== undefined) return;
    const delay = Math.max(0, delayMs);
    const dueAt = this.#options.clock.monotonic() + delay;
    if (dueAt >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => this.#start(), delay).unref();
  }

  #start(): void {
    this.#dueAt = Infinity;
    this.#running ??= this.submit().finally(() => {
      this.#running = undefined;
      this.#schedule(this.#options.refreshMs ?? REFRESH_MS);
      this.changed();
    });
  }

  /** One submission of the newest size whose tiles are written. Never rejects. */
  async submit(): Promise<void> {
    const { log, tiles, events, clock, halt } = this.#options;
    const { written } = tiles;
    if (written.size === 0 || log.halted !== undefined) return;
    this.#submittedAt = clock.monotonic();
    try {
      // A conflict tells what the witness holds: one more attempt with the proof from there.
      if (await this.#attempt(written)) await this.#attempt(written);
    } catch (error) {
      if (isHistoryError(error)) halt(log, error);
      else events.witnessFailed(log.origin, error);
    }
    this.#watch();
  }

  /** Says whether the witness holds another size than we thought. */
  async #attempt({ size, checkpoint }: SizedCheckpoint): Promise<boolean> {
    const { log, events, transport } = this.#options;
    const oldSize = Math.min(this.#witnessSize, size);
    const proof = await this.#proof(oldSize, size);
    if (!proof) return false;
    const answer = await transport.send(encodeAddCheckpointRequest({ oldSize, proof, checkpoint }));
    if (this.#closed) return false;
    switch (answer.status) {
      case 200:
        this.#accept({ size, checkpoint }, answer);
        return false;
      case 409:
        return await this.#resync(oldSize, size, parseWitnessSize(answer.body));
      case 422:
        // C2SP tlog-witness: the proof, which verified here, does not lead from what the witness holds.
        await this.#examine(answer.status);
        return false;
      default:
        events.witnessRefused(log.origin, answer.status);
        return false;
    }
  }

  async #proof(oldSize: number, size: number): Promise<readonly Buffer[] | undefined> {
    if (oldSize === 0 || oldSize === size) return [];
    const { store, log, prover } = this.#options;
    if (store.batchEndingAt(log.origin, oldSize))
      return (await prover.consistency(oldSize, size)).proof;
    // Every checkpoint that was ever signed ends a batch: the witness cannot hold any other size of this log.
    this.#witnessSize = log.cosigned?.size ?? 0;
    await this.#examine(409);
    return undefined;
  }

  /** Whether another attempt, from where the witness says that it is, may help. */
  async #resync(sentSize: number, size: number, witnessSize: number): Promise<boolean> {
    const { log } = this.#options;
    // More than the log has, or a conflict at the size that it holds: then the roots differ (C2SP tlog-witness).
    const isConflict = witnessSize > log.size || (witnessSize === sentSize && sentSize === size);
    if (!isConflict) this.#witnessSize = witnessSize;
    if (!isConflict && witnessSize !== sentSize) return true;
    await this.#examine(409);
    return false;
  }

  /**
   * THREAT-06, THREAT-07, THREAT-30: a refusal may mean a lost or cut tail, or another history. It is not signed, so
   * it halts nothing by itself (docs/design/0006): only what this log's own keys once signed does.
   */
  async #examine(status: number): Promise<void> {
    const { log, store, transport, events } = this.#options;
    events.witnessRefused(log.origin, status);
    const answer = await transport.newest(log.origin);
    if (answer.status !== 200) return;
    const { key, writer } = log.identity;
    const verifiers = writer ? [key.verifier, writer] : [key.verifier];
    const held = openCheckpoint(answer.body, { origin: log.origin, verifiers });
    if (held.verified.length !== verifiers.length) return;
    if (held.size > log.size)
      throw historyError(`The witness holds ${held.size} entries, the log has ${log.size}`);
    const batch = store.batchEndingAt(log.origin, held.size);
    if (!batch) throw historyError(`The witness holds ${held.size} entries, where no batch ends`);
    if (!batch.checkpoint.startsWith(held.body))
      throw historyError(`The witness holds another tree of ${held.size} entries`);
  }

  #accept({ size, checkpoint }: SizedCheckpoint, { body }: WitnessAnswer): void {
    const { log, tiles, witness, clock, events, keepCosigned } = this.#options;
    // Only the pinned witness's line is kept: for any other there is no key here.
    const lines = body.split("\n").filter((line) => line.startsWith(`\u2014 ${witness.name} `));
    const note = addSignature(checkpoint, lines.map((line) => `${line}\n`).join(""));
    const { timeSeconds } = verifyCosignature(note, witness);
    this.#witnessSize = size;
    const now = nowSeconds(clock);
    const wasAhead = this.#isAhead;
    this.#isAhead = isDatedAhead(timeSeconds, now);
    // THREAT-37: one event when it begins. If it goes on, the witness is late, which is an event of its own.
    if (this.#isAhead && !wasAhead) events.cosignatureAhead(log.origin, timeSeconds, now);
    if (this.#isAhead) return;
    this.#cosignedAt = clock.monotonic();
    const cosigned = { note, size, timeSeconds };
    if (!log.acceptCosigned(cosigned, now)) return;
    tiles.cosigned();
    keepCosigned(log, cosigned);
  }

  /** P3: says after 60 s that the witness is late. When signing stops is for the signer to decide. */
  #watch(): void {
    const { log, events } = this.#options;
    const isLate = this.ageSeconds >= LATE_SECONDS;
    if (isLate && !this.#isLate) events.witnessLate(log.origin, this.ageSeconds);
    if (!isLate && this.#isLate) events.witnessBack(log.origin);
    this.#isLate = isLate;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#running;
  }
}

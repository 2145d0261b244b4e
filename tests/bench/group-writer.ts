import { randomBytes } from "node:crypto";
import { CompactRange, encodeCheckpoint, sha256, signNote, type NoteSigner } from "@redoubt/tlog";
import { ask, joinBlobs, LEDGER, type SocketClient } from "@redoubt/wire";

const ENTRY_BYTES = 65;
/** After length, tag and digest. */
const COMMITMENT_AT = 2 + 33;
/** Entry and sealed body together: the size of the compared row. */
export const EVENT_BYTES = 200;
/** As the signer has it: services/signer/src/issue/mint.ts. */
const MAX_BATCH = 256;
const MAX_BATCHES_UNDER_WAY = 2;

/**
 * Many appenders, one writer, as in a signer: what arrives in one turn is one batch, two batches are under way at
 * once, and the root of each is predicted and signed. What is appended is made beforehand, as the compared row is.
 */
export class GroupWriter {
  readonly #client: SocketClient;
  readonly #log: string;
  readonly #signer: NoteSigner;
  readonly #range = CompactRange.empty();
  readonly #content = randomBytes(MAX_BATCH * EVENT_BYTES);
  #waiting: { done: () => void; failed: (error: unknown) => void }[] = [];
  #underWay = 0;
  #batches = 0;
  #isScheduled = false;

  constructor(client: SocketClient, log: string, signer: NoteSigner) {
    this.#client = client;
    this.#log = log;
    this.#signer = signer;
  }

  /** Batches sent so far. */
  get batches(): number {
    return this.#batches;
  }

  append(): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ done, failed });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#underWay >= MAX_BATCHES_UNDER_WAY || this.#waiting.length === 0)
      return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      void this.#flush();
      this.#schedule();
    });
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting.splice(0, MAX_BATCH);
    this.#underWay += 1;
    this.#batches += 1;
    try {
      await this.#commit(batch.length);
      for (const { done } of batch) done();
    } catch (error) {
      for (const { failed } of batch) failed(error);
    }
    this.#underWay -= 1;
    this.#schedule();
  }

  async #commit(count: number): Promise<void> {
    const first = this.#range.size;
    const blob = this.#content.subarray(0, count * (EVENT_BYTES - ENTRY_BYTES));
    const bundle = this.#bundle(count, blob);
    this.#range.appendEntries(
      Array.from({ length: count }, (_, i) => {
        const at = i * (2 + ENTRY_BYTES) + 2;
        return bundle.subarray(at, at + ENTRY_BYTES);
      }),
    );
    const { size } = this.#range;
    const body = encodeCheckpoint({ origin: this.#log, size, root: this.#range.root() });
    await ask(
      this.#client,
      LEDGER.commit,
      {
        log: this.#log,
        first,
        count,
        checkpoint: signNote(body, [this.#signer]),
        entriesBytes: bundle.length,
      },
      Buffer.concat([bundle, joinBlobs([blob])]),
    );
  }

  /** Entries that differ, in the form in which they are sent: docs/spec/logs.md §1. */
  #bundle(count: number, blob: Buffer): Buffer {
    const bundle = Buffer.from(this.#content.subarray(0, count * (2 + ENTRY_BYTES)));
    const place = Buffer.concat([Buffer.alloc(2), sha256(blob)]);
    for (let i = 0; i < count; i += 1) {
      const at = i * (2 + ENTRY_BYTES);
      bundle.writeUInt16BE(ENTRY_BYTES, at);
      bundle[at + 2] = 1;
      bundle.writeUInt32BE(this.#range.size + i, at + 3);
      place.writeUInt16BE(i);
      bundle.set(sha256(place), at + COMMITMENT_AT);
    }
    return bundle;
  }
}

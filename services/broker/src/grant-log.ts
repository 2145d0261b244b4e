import { errorCode, ServiceError } from "@redoubt/base";
import { encodeGrant, leaseEntry } from "@redoubt/lease";
import type { CompactRange } from "@redoubt/tlog";
import {
  encodeCheckpoint,
  encodeEntryBundle,
  type NoteSigner,
  openCheckpoint,
  signNote,
  type TreeHead,
} from "@redoubt/tlog";
import {
  ask,
  BodyCommitments,
  joinBlobs,
  LEDGER,
  type LogSource,
  readLogState,
} from "@redoubt/wire";

export interface GrantLogWriterOptions extends LogSource {
  readonly writer: NoteSigner;
  /** A tree that the log must hold, from an earlier run. */
  readonly known: () => TreeHead | undefined;
}

export interface Appended {
  /** What the lease's holder gets. */
  readonly grant: string;
  /** Place of its entry. */
  readonly index: number;
  readonly tree: TreeHead;
}

/**
 * The only writer of the broker's log: one grant at a time, each a batch of its own. What the ledger answers counts only
 * if both signatures are over exactly the tree that was predicted here (P3, as of an issuance log).
 */
export class GrantLogWriter {
  readonly #options: GrantLogWriterOptions;
  /** The tree as the ledger acknowledged it; undefined where that is not known, and must be asked. */
  #range: CompactRange | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: GrantLogWriterOptions) {
    this.#options = options;
  }

  /** Entries that are known to be in the log. */
  get size(): number | undefined {
    return this.#range?.size;
  }

  /**
   * Commits one lease with what is kept beside it.
   *
   * @throws ServiceError `ERR_BROKER_LOG` where it is not known to be committed, `ERR_LOG_*` for a log that is not as it was
   */
  append(lease: Uint8Array, body: Uint8Array): Promise<Appended> {
    const appended = this.#last.then(() => this.#append(lease, body));
    this.#last = appended.catch(() => undefined);
    return appended;
  }

  async #append(lease: Uint8Array, body: Uint8Array): Promise<Appended> {
    const before = this.#range ?? (await this.#open());
    const commitment = new BodyCommitments(Buffer.from(body)).of(0);
    const entry = leaseEntry(lease, commitment);
    const after = before.clone();
    after.appendEntries([entry]);
    // Where the outcome is not known, the ledger is asked for it before the next.
    this.#range = undefined;
    const checkpoint = await this.#commit(before.size, after, entry, body);
    this.#range = after;
    // The newest leaf's proof is what stood left of it.
    const index = before.size;
    const proof = { index, proof: before.hashes().toReversed(), checkpoint };
    return { grant: encodeGrant(lease, commitment, proof), index, tree: after.head };
  }

  async #open(): Promise<CompactRange> {
    const { known } = this.#options;
    const tree = known();
    try {
      return (await readLogState(this.#options, tree ? [tree] : [])).range;
    } catch (cause) {
      throw failed(cause);
    }
  }

  async #commit(
    first: number,
    after: CompactRange,
    entry: Buffer,
    body: Uint8Array,
  ): Promise<string> {
    const { client, origin, writer } = this.#options;
    const note = signNote(encodeCheckpoint({ origin, ...after.head }), [writer]);
    const entries = encodeEntryBundle([entry]);
    const head = { log: origin, first, count: 1, checkpoint: note, entriesBytes: entries.length };
    try {
      const bytes = Buffer.concat([entries, joinBlobs([body])]);
      const { checkpoint } = await ask(client, LEDGER.commit, head, bytes);
      this.#check(checkpoint, after);
      return checkpoint;
    } catch (cause) {
      throw failed(cause);
    }
  }

  #check(note: string, after: CompactRange): void {
    const { origin, logKey, writerKey } = this.#options;
    const { size, root, verified } = openCheckpoint(note, {
      origin,
      verifiers: [logKey, writerKey],
    });
    const names = new Set(verified.map(({ name }) => name));
    const isPredicted = size === after.size && root.equals(after.root());
    if (!names.has(logKey.name) || !names.has(writerKey.name) || !isPredicted)
      throw new ServiceError("ERR_BROKER_LOG", "Ledger acknowledges another tree");
  }
}

function failed(cause: unknown): unknown {
  // What the log's own history is at fault for has a code of its own.
  if (cause instanceof ServiceError) return cause;
  const code = errorCode(cause);
  return new ServiceError("ERR_BROKER_LOG", `Grant is not known to be in the log (${code})`, {
    cause,
    fields: { retryAfterSeconds: 1 },
  });
}

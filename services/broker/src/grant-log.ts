import { errorCode, ServiceError } from "@redoubt/base";
import { encodeGrant, leaseEntry } from "@redoubt/lease";
import {
  type CompactRange,
  encodeCheckpoint,
  encodeEntryBundle,
  type NoteSigner,
  openCheckpoint,
  signNote,
  TlogError,
  type TreeHead,
} from "@redoubt/tlog";
import {
  ask,
  BodyCommitments,
  joinBlobs,
  LEDGER,
  type LogSource,
  proveGrowth,
  readLogState,
  RemoteError,
} from "@redoubt/wire";
import { type PendingGrant, readPending, writePending } from "./pending-grant.ts";

export interface GrantLogWriterOptions extends LogSource {
  readonly writer: NoteSigner;
  /** Where the newest grant that was sent is kept. */
  readonly pendingFile: string;
  /** The newest tree that was acknowledged, from an earlier run, too. */
  readonly known: () => TreeHead | undefined;
}

export interface Appended {
  /** What the lease's holder gets. */
  readonly grant: string;
  /** Place of its entry. */
  readonly index: number;
  readonly tree: TreeHead;
}

/** What a ledger says that has something else at this place, or nothing before it. */
const FOREIGN_TREE = ["ERR_LEDGER_SIZE", "ERR_LEDGER_ROOT", "ERR_LEDGER_WRITER"];

/**
 * The only writer of the broker's log: one grant at a time, each a batch of its own. What the ledger answers counts only
 * if both signatures are over exactly the tree that was predicted here (P3, as of an issuance log).
 *
 * THREAT-07: a tree that was signed is durable here before it is sent. Until the ledger acknowledges it, the same bytes go
 * again before anything else is signed, after a crash, too: so there are never two signed trees of one size, and never two
 * leases with one place.
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
   * @param witnessed what the witness held of this log before this call: the log must continue it
   * @throws ServiceError `ERR_BROKER_LOG` where it is not known to be committed, `ERR_LOG_*` for a log that is not as it
   *   was, `ERR_WITNESS_TREE` where the witness holds another one, `ERR_BROKER_STATE`
   */
  append(lease: Uint8Array, body: Buffer, witnessed: TreeHead): Promise<Appended> {
    const appended = this.#last.then(() => this.#append(lease, body, witnessed));
    this.#last = appended.catch(() => undefined);
    return appended;
  }

  async #append(lease: Uint8Array, body: Buffer, witnessed: TreeHead): Promise<Appended> {
    const { origin, writer, pendingFile } = this.#options;
    const before = this.#range ?? (await this.#takeUp());
    await this.#checkWitnessed(witnessed, before.head);
    const commitment = new BodyCommitments(body).of(0);
    const entry = leaseEntry(lease, commitment);
    const after = before.clone();
    after.appendEntries([entry]);
    const index = before.size;
    const note = signNote(encodeCheckpoint({ origin, ...after.head }), [writer]);
    const pending = { first: index, note, entry, body };
    writePending(pendingFile, pending);
    this.#range = undefined;
    const checkpoint = await this.#commit(pending, after.head);
    this.#range = after;
    // The newest leaf's proof is what stood left of it.
    const proof = { index, proof: before.hashes().toReversed(), checkpoint };
    return { grant: encodeGrant(lease, commitment, proof), index, tree: after.head };
  }

  /** Where the log stands, with what was sent before in it. */
  async #takeUp(): Promise<CompactRange> {
    const { known, pendingFile } = this.#options;
    const tree = known();
    const range = await this.#read(tree ? [tree] : []);
    const pending = readPending(pendingFile);
    const sent = pending && this.#signedTree(pending);
    if (!sent || sent.size <= (tree?.size ?? 0)) return (this.#range = range);
    // Nobody has this lease any more: it becomes an entry, and that is all.
    await this.#commit(pending, sent);
    return (this.#range = await this.#read([sent]));
  }

  async #read(known: readonly TreeHead[]): Promise<CompactRange> {
    try {
      return (await readLogState(this.#options, known)).range;
    } catch (cause) {
      throw failed(cause);
    }
  }

  #signedTree({ note, first }: PendingGrant): TreeHead {
    const { origin, writerKey } = this.#options;
    try {
      const { size, root } = openCheckpoint(note, { origin, verifiers: [writerKey] });
      if (size === first + 1) return { size, root };
    } catch (cause) {
      throw new ServiceError("ERR_BROKER_STATE", "Pending grant is not this broker's", { cause });
    }
    throw new ServiceError("ERR_BROKER_STATE", "Pending grant has another place than its tree");
  }

  /** THREAT-06, THREAT-38: the log continues what its witness saw of it. One that it does not know yet has no size. */
  async #checkWitnessed(witnessed: TreeHead, head: TreeHead): Promise<void> {
    const { client, origin } = this.#options;
    try {
      if (witnessed.size <= head.size) return await proveGrowth(client, origin, witnessed, head);
    } catch (cause) {
      if (!(cause instanceof TlogError)) throw failed(cause);
      throw conflict("is not in the log", cause);
    }
    throw conflict(`has ${witnessed.size} entries, the log ${head.size}`);
  }

  async #commit({ first, note, entry, body }: PendingGrant, after: TreeHead): Promise<string> {
    const { client, origin } = this.#options;
    const entries = encodeEntryBundle([entry]);
    const head = { log: origin, first, count: 1, checkpoint: note, entriesBytes: entries.length };
    try {
      const bytes = Buffer.concat([entries, joinBlobs([body])]);
      const { checkpoint } = await ask(client, LEDGER.commit, head, bytes);
      this.#check(checkpoint, after);
      return checkpoint;
    } catch (cause) {
      if (!(cause instanceof RemoteError) || !FOREIGN_TREE.includes(cause.code))
        throw failed(cause);
      const message = `Ledger does not take what was signed for place ${first} (${cause.code})`;
      throw new ServiceError("ERR_LOG_HISTORY", message, { cause });
    }
  }

  #check(note: string, after: TreeHead): void {
    const { origin, logKey, writerKey } = this.#options;
    const { size, root, verified } = openCheckpoint(note, {
      origin,
      verifiers: [logKey, writerKey],
    });
    const names = new Set(verified.map(({ name }) => name));
    const isPredicted = size === after.size && root.equals(after.root);
    if (!names.has(logKey.name) || !names.has(writerKey.name) || !isPredicted)
      throw new ServiceError("ERR_BROKER_LOG", "Ledger acknowledges another tree");
  }
}

function conflict(how: string, cause?: unknown): ServiceError {
  const message = `The tree that the witness holds of the broker's log ${how}`;
  return new ServiceError("ERR_WITNESS_TREE", message, { cause });
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

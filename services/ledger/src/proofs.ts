import {
  buildConsistencyProof,
  buildInclusionProof,
  buildRoot,
  hashLeaf,
  parseCheckpoint,
  parseNote,
  tileHashReader,
  verifyConsistency,
  verifyInclusion,
} from "@redoubt/tlog";
import { BUNDLED_ENTRY_BYTES, splitEntries } from "./entries.ts";
import { refusal } from "./errors.ts";
import type { LedgerEvents } from "./events.ts";
import type { Log } from "./log.ts";
import type { Store } from "./store.ts";
import type { TileWriter } from "./tile-writer.ts";

export interface InclusionAnswer {
  readonly leaf: Buffer;
  readonly proof: readonly Buffer[];
  readonly checkpoint: string;
}

export interface ConsistencyAnswer {
  readonly proof: readonly Buffer[];
  /** That of the larger size. */
  readonly checkpoint: string;
}

export interface ProverOptions {
  readonly log: Log;
  readonly store: Store;
  readonly tiles: TileWriter;
  readonly events: LedgerEvents;
  /** Some tile is not what was written. */
  readonly onDamaged: () => void;
}

/** Proofs of one log from its tiles; each is verified before it leaves, because tiles are only files. */
export class Prover {
  readonly #log: Log;
  readonly #store: Store;
  readonly #options: ProverOptions;

  constructor(options: ProverOptions) {
    this.#log = options.log;
    this.#store = options.store;
    this.#options = options;
  }

  /** @throws ServiceError `ERR_LEDGER_NOT_FOUND` unless a batch ends at `size` */
  async inclusion(index: number, size: number): Promise<InclusionAnswer> {
    const { root, checkpoint } = this.#signedRoot(size);
    if (index >= size) throw notFound(`Log has no entry ${index} at size ${size}`);
    const entry = this.#entry(index);
    const proof = await this.#prove(size, (reader) => {
      const hashes = buildInclusionProof(reader, index, size);
      verifyInclusion({ index, size, leafHash: hashLeaf(entry), root, proof: hashes });
      return hashes;
    });
    return { leaf: entry, proof, checkpoint };
  }

  /**
   * `size1` is any size: a reader takes as many entries as it can hold, and need not stop where a batch ends.
   *
   * @throws ServiceError `ERR_LEDGER_NOT_FOUND` unless a batch ends at `size2`
   */
  async consistency(size1: number, size2: number): Promise<ConsistencyAnswer> {
    const next = this.#signedRoot(size2);
    const proof = await this.#prove(size2, (reader) => {
      const hashes = buildConsistencyProof(reader, size1, size2);
      const [root1, root2] = [buildRoot(reader, size1), next.root];
      verifyConsistency({ size1, root1, size2, root2, proof: hashes });
      return hashes;
    });
    return { proof, checkpoint: next.checkpoint };
  }

  #signedRoot(size: number): { readonly root: Buffer; readonly checkpoint: string } {
    const batch = this.#store.batchEndingAt(this.#log.origin, size);
    if (!batch) throw notFound(`No batch ends at ${size}`);
    const { cosigned } = this.#log;
    const checkpoint = cosigned?.size === size ? cosigned.note : batch.checkpoint;
    return { root: parseCheckpoint(parseNote(checkpoint).body).root, checkpoint };
  }

  #entry(index: number): Buffer {
    const [batch] = this.#store.batches(this.#log.origin, index, 1);
    const offset = index - (batch?.first ?? index + 1);
    const start = offset * BUNDLED_ENTRY_BYTES;
    const bytes = batch?.entries.subarray(start, start + BUNDLED_ENTRY_BYTES) ?? Buffer.alloc(0);
    const [entry] = splitEntries(bytes, 1, this.#log.identity.kind);
    if (!entry) throw notFound(`Log has no entry ${index}`);
    return entry;
  }

  async #prove(
    size: number,
    build: (reader: ReturnType<typeof tileHashReader>) => Buffer[],
  ): Promise<Buffer[]> {
    const { tiles, events, onDamaged } = this.#options;
    if (tiles.written.size < size) await tiles.flush();
    try {
      return build(tileHashReader(tiles.readTile, size));
    } catch (cause) {
      events.proofDamaged(this.#log.origin, cause);
      onDamaged();
      throw refusal("ERR_LEDGER_IO", "Proof does not verify: tiles are being repaired", { cause });
    }
  }
}

function notFound(message: string): Error {
  return refusal("ERR_LEDGER_NOT_FOUND", message);
}

import { generateKeyPairSync, randomBytes } from "node:crypto";
import {
  addSignature,
  buildConsistencyProof,
  buildInclusionProof,
  CompactRange,
  cosignCheckpoint,
  createVerifierKey,
  ed25519Signer,
  EMPTY_ROOT,
  encodeCheckpoint,
  hashLeaf,
  hashNode,
  parseNote,
  SIGNATURE_TYPE,
  signNote,
  type HashReader,
  type NoteSigner,
  type VerifierKey,
  type WitnessedTree,
} from "@redoubt/tlog";

interface FakeBatch {
  readonly first: number;
  readonly entries: readonly Buffer[];
  readonly bytes: Buffer;
  readonly checkpoint: string;
}

/** One log as an honest ledger keeps it; what it says of it is another matter. */
export class FakeLog {
  readonly origin: string;
  readonly key: VerifierKey;
  /** Whose checkpoints are taken; undefined: anybody's. */
  readonly writer: VerifierKey | undefined;
  signer: NoteSigner;
  readonly batches: FakeBatch[] = [];
  cosigned = "";
  /** The newest tree that was cosigned. */
  witnessed: WitnessedTree = { size: 0, root: EMPTY_ROOT };

  constructor(origin: string, writer?: VerifierKey) {
    this.origin = origin;
    this.writer = writer;
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    this.key = createVerifierKey({ name: origin, type: SIGNATURE_TYPE.ed25519, publicKey });
    this.signer = ed25519Signer(origin, privateKey);
  }

  /** Another history under the same key: what a ledger would have to keep to lie well. */
  fork(count: number): FakeLog {
    const fork = new FakeLog(this.origin);
    fork.signer = this.signer;
    for (let place = 0; place < count; place += 1) {
      const tag = this.entries[0]?.[0] ?? 1;
      fork.append([Buffer.concat([Buffer.of(tag), randomBytes(64)])], Buffer.alloc(0));
    }
    return fork;
  }

  get entries(): readonly Buffer[] {
    return this.batches.flatMap((batch) => batch.entries);
  }

  get size(): number {
    return this.entries.length;
  }

  get checkpoint(): string {
    return this.batches.at(-1)?.checkpoint ?? "";
  }

  /** The compact range of the first `size` entries. */
  range(size: number = this.size): CompactRange {
    const range = CompactRange.empty();
    range.appendEntries(this.entries.slice(0, size));
    return range;
  }

  /** A note over the tree with these entries more, by the log key and whoever else signed. */
  sign(range: CompactRange, writerNote?: string): string {
    const body = encodeCheckpoint({ origin: this.origin, size: range.size, root: range.root() });
    const own = signNote(body, [this.signer]);
    return writerNote === undefined ? own : addSignature(own, writerNote.slice(body.length + 1));
  }

  append(entries: readonly Buffer[], bytes: Buffer, writerNote?: string): FakeBatch {
    const range = this.range();
    const first = range.size;
    range.appendEntries(entries);
    const batch = { first, entries, bytes, checkpoint: this.sign(range, writerNote) };
    this.batches.push(batch);
    return batch;
  }

  /** What a witness would say of the tree as it is now. */
  cosign(witness: NoteSigner, timeSeconds: number): string {
    if (this.checkpoint === "") return "";
    const { body } = parseNote(this.checkpoint);
    const range = this.range();
    this.witnessed = { size: range.size, root: range.root() };
    this.cosigned = addSignature(this.checkpoint, cosignCheckpoint(body, timeSeconds, witness));
    return this.cosigned;
  }

  /** Where the entry with this digest stands; -1 where there is none. */
  indexOf(digest: Uint8Array): number {
    return this.entries.findIndex((entry) => entry.subarray(1, 33).equals(digest));
  }

  prove(index: number, size: number): Buffer[] {
    return buildInclusionProof(this.#reader(), index, size);
  }

  proveGrowth(size1: number, size2: number): Buffer[] {
    return buildConsistencyProof(this.#reader(), size1, size2);
  }

  #reader(): HashReader {
    const leaves = this.entries.map((entry) => hashLeaf(entry));
    const reader = (level: number, index: number): Buffer => {
      const leaf = leaves[index];
      if (level === 0 && leaf) return leaf;
      return hashNode(reader(level - 1, 2 * index), reader(level - 1, 2 * index + 1));
    };
    return reader;
  }

  /** The database loses what came after `size`. */
  cut(size: number): void {
    while (this.size > size) this.batches.pop();
  }
}

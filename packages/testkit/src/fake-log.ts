import { generateKeyPairSync, randomBytes } from "node:crypto";
import type { SignedStatement } from "@redoubt/registry";
import {
  addSignature,
  buildConsistencyProof,
  buildInclusionProof,
  cosignCheckpoint,
  createVerifierKey,
  ed25519Signer,
  EMPTY_ROOT,
  encodeCheckpoint,
  parseNote,
  SIGNATURE_TYPE,
  signNote,
  type CompactRange,
  type NoteSigner,
  type VerifierKey,
  type TreeHead,
} from "@redoubt/tlog";
import { FakeTree } from "./fake-tree.ts";

/** What the registry shows beside an entry; where a test withholds it, less. */
type Body = Partial<Omit<SignedStatement, "entry">> & { readonly credentials?: Buffer | undefined };

interface FakeBatch {
  readonly entries: readonly Buffer[];
  /** As it was attached. */
  readonly bytes?: Buffer;
  readonly writerNote?: string | undefined;
  readonly body?: Body;
}

/**
 * One log as an honest ledger keeps it; what it says of it is another matter. A test may cut `batches`, change them,
 * or put others in their place: the log's key signs whatever is there.
 */
export class FakeLog {
  readonly origin: string;
  readonly key: VerifierKey;
  /** Whose checkpoints are taken; undefined: anybody's. */
  readonly writer: VerifierKey | undefined;
  signer: NoteSigner;
  /** Signs with the log's key where no writer has handed in a note of its own. */
  writerSigner: NoteSigner | undefined;
  readonly batches: FakeBatch[] = [];
  cosigned = "";
  /** Takes the place of the checkpoint. */
  shown: string | undefined;
  /** The newest tree that was cosigned. */
  witnessed: TreeHead = { size: 0, root: EMPTY_ROOT };
  #tree = new FakeTree<FakeBatch>();

  constructor(origin: string, writer?: VerifierKey) {
    this.origin = origin;
    this.writer = writer;
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    this.key = createVerifierKey({ name: origin, type: SIGNATURE_TYPE.ed25519, publicKey });
    this.signer = ed25519Signer(origin, privateKey);
  }

  /** Another history under the same keys: what a ledger would have to keep to lie well. */
  fork(count: number): FakeLog {
    const fork = new FakeLog(this.origin);
    fork.signer = this.signer;
    fork.writerSigner = this.writerSigner;
    const tag = this.entries[0]?.[0] ?? 1;
    for (let place = 0; place < count; place += 1)
      fork.append([Buffer.concat([Buffer.of(tag), randomBytes(64)])]);
    return fork;
  }

  get #now(): FakeTree<FakeBatch> {
    if (this.#tree.follow(this.batches)) return this.#tree;
    this.#tree = new FakeTree();
    this.#tree.follow(this.batches);
    return this.#tree;
  }

  get entries(): readonly Buffer[] {
    return this.#now.entries;
  }

  get size(): number {
    return this.entries.length;
  }

  /** What a registry shows. */
  get items(): readonly ({ readonly entry: Buffer } & Body)[] {
    return this.batches.flatMap(({ entries, body }) =>
      entries.map((entry) => ({ entry, ...body })),
    );
  }

  get checkpoint(): string {
    return this.shown ?? this.checkpointAt(this.size) ?? "";
  }

  /** Of the batch that ends there. */
  checkpointAt(size: number): string | undefined {
    const batch = this.#now.ends.get(size);
    if (batch?.writerNote === undefined) return batch && this.note(size);
    const [, lines = ""] = batch.writerNote.split("\n\n");
    return addSignature(this.note(size), lines);
  }

  /** The batch that begins there. */
  batchAt(first: number): FakeBatch | undefined {
    return this.#now.starts.get(first);
  }

  /** A note over any tree, by any keys; unless told otherwise, as they would be honestly. */
  note(
    size: number = this.size,
    root: Uint8Array = this.root(size),
    by: readonly NoteSigner[] = this.writerSigner
      ? [this.writerSigner, this.signer]
      : [this.signer],
  ): string {
    return signNote(encodeCheckpoint({ origin: this.origin, size, root }), by);
  }

  /** The compact range of the first `size` entries. */
  range(size: number = this.size): CompactRange {
    return this.#now.range(size);
  }

  root(size?: number): Buffer {
    return this.range(size).root();
  }

  /** The place of the first of them. */
  append(entries: readonly Buffer[], bytes?: Buffer, writerNote?: string): number {
    const { size } = this;
    this.batches.push({ entries, ...(bytes && { bytes }), writerNote });
    return size;
  }

  /** Of a registry: the place of its entry. */
  state({
    entry,
    ...body
  }: SignedStatement & { readonly credentials?: Buffer | undefined }): number {
    return this.batches.push({ entries: [entry], body }) - 1;
  }

  /** What a witness would say of the tree as it is now. */
  cosign(witness: NoteSigner, timeSeconds: number): string {
    const { checkpoint } = this;
    if (checkpoint === "") return "";
    this.witnessed = { size: this.size, root: this.root() };
    const line = cosignCheckpoint(parseNote(checkpoint).body, timeSeconds, witness);
    this.cosigned = addSignature(checkpoint, line);
    return this.cosigned;
  }

  /** Where the entry with this digest stands; -1 where there is none. */
  indexOf(digest: Uint8Array): number {
    return this.entries.findIndex((entry) => entry.subarray(1, 33).equals(digest));
  }

  prove(index: number, size: number): Buffer[] {
    return buildInclusionProof(this.#now.reader, index, size);
  }

  /** Empty where there is nothing to prove. */
  proveGrowth(size1: number, size2: number = this.size): Buffer[] {
    if (size1 === 0 || size1 > size2) return [];
    return buildConsistencyProof(this.#now.reader, size1, size2);
  }

  /** The database loses what came after `size`. */
  cut(size: number): void {
    let { size: left } = this;
    while (left > size) left -= this.batches.pop()?.entries.length ?? left;
  }
}

import { generateKeyPairSync, hash, randomBytes } from "node:crypto";
import {
  CompactRange,
  createVerifierKey,
  ed25519Signer,
  encodeCheckpoint,
  SIGNATURE_TYPE,
  signNote,
  type NoteSigner,
  type VerifierKey,
} from "@redoubt/tlog";
import { joinBlobs } from "@redoubt/wire";
import { bundleEntry } from "../entries.ts";

export interface TestBatch {
  readonly head: {
    readonly op: "commit";
    readonly log: string;
    readonly first: number;
    readonly count: number;
    readonly checkpoint: string;
    readonly entriesBytes: number;
  };
  readonly attachment: Buffer;
  readonly entries: readonly Buffer[];
}

/** The entries with the commitments of their bodies, which take the blobs by turns (docs/spec/logs.md §1). */
export function commitTo(entries: readonly Buffer[], blobs: readonly Buffer[]): Buffer[] {
  const digests = blobs.map((blob) => hash("sha256", blob, "buffer"));
  return entries.map((entry, i) => {
    const position = Buffer.alloc(2);
    position.writeUInt16BE(Math.floor(i / blobs.length));
    const digest = digests[i % blobs.length] ?? Buffer.alloc(0);
    const commitment = hash("sha256", Buffer.concat([position, digest]), "buffer");
    return Buffer.concat([entry.subarray(0, 33), commitment]);
  });
}

/** Without bodies: `TestWriter` makes some. */
export function randomEntries(count: number): Buffer[] {
  return Array.from({ length: count }, () => Buffer.concat([Buffer.of(1), randomBytes(64)]));
}

/** The signer's side of an issuance log: it predicts each root and signs it (docs/spec/logs.md §3). */
export class TestWriter {
  readonly log: string;
  readonly key: VerifierKey;
  readonly signer: NoteSigner;
  range = CompactRange.empty();

  constructor(log: string) {
    this.log = log;
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    const name = `${log}/writer`;
    this.key = createVerifierKey({ name, type: SIGNATURE_TYPE.ed25519, publicKey });
    this.signer = ed25519Signer(name, privateKey);
  }

  /** The next batch; the writer counts on its being taken. */
  next(
    entries: readonly Buffer[] = randomEntries(1),
    blobs: readonly Buffer[] = [randomBytes(32)],
  ): TestBatch {
    return this.nextAsIs(commitTo(entries, blobs), blobs);
  }

  /** The entries and bodies as they are, whether they belong together or not. */
  nextAsIs(entries: readonly Buffer[], blobs: readonly Buffer[]): TestBatch {
    const { log, range } = this;
    const first = range.size;
    range.appendEntries(entries);
    const body = encodeCheckpoint({ origin: log, ...range.head });
    const bundle = Buffer.concat(entries.map(bundleEntry));
    return {
      head: {
        op: "commit",
        log,
        first,
        count: entries.length,
        checkpoint: signNote(body, [this.signer]),
        entriesBytes: bundle.length,
      },
      attachment: Buffer.concat([bundle, joinBlobs(blobs)]),
      entries,
    };
  }
}

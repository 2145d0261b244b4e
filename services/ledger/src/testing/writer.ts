import { generateKeyPairSync, randomBytes } from "node:crypto";
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
  next(entries: readonly Buffer[] = randomEntries(1), blobs: readonly Buffer[] = []): TestBatch {
    const first = this.range.size;
    this.range.appendEntries(entries);
    return this.batch(first, entries, this.range, blobs);
  }

  batch(
    first: number,
    entries: readonly Buffer[],
    range: CompactRange,
    blobs: readonly Buffer[] = [],
  ): TestBatch {
    const { log } = this;
    const body = encodeCheckpoint({ origin: log, size: range.size, root: range.root() });
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

import { createHash, generateKeyPairSync } from "node:crypto";
import {
  CompactRange,
  createVerifierKey,
  ed25519Signer,
  encodeCheckpoint,
  hashLeaf,
  type NoteSigner,
  SIGNATURE_TYPE,
  signNote,
  type VerifierKey,
} from "@redoubt/tlog";
import { encodeGrant, type GrantLog, leaseEntry } from "../grant.ts";

function makeKey(name: string): { readonly signer: NoteSigner; readonly key: VerifierKey } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    signer: ed25519Signer(name, privateKey),
    key: createVerifierKey({ name, type: SIGNATURE_TYPE.ed25519, publicKey }),
  };
}

/** A broker's log in memory, which its ledger signs at once. */
export class TestGrantLog implements GrantLog {
  readonly origin = "redoubt.test/broker";
  readonly #log = makeKey(this.origin);
  readonly #writer = makeKey(`${this.origin}/writer`);
  readonly logKey = this.#log.key;
  readonly writerKey = this.#writer.key;
  readonly #leaves: Buffer[] = [];

  /**
   * @param signers who signs the tree: both, where nothing else is said
   * @param commitment to what would be kept beside the entry
   */
  grant(
    lease: Uint8Array,
    signers: readonly NoteSigner[] = [this.#log.signer, this.#writer.signer],
    commitment: Buffer = createHash("sha256").update("evidence").digest(),
  ): string {
    this.#leaves.push(hashLeaf(leaseEntry(lease, commitment)));
    return encodeGrant(lease, commitment, this.#proof(signers));
  }

  get signers(): { readonly log: NoteSigner; readonly writer: NoteSigner } {
    return { log: this.#log.signer, writer: this.#writer.signer };
  }

  #proof(signers: readonly NoteSigner[]) {
    const range = CompactRange.empty();
    for (const leaf of this.#leaves) range.append(leaf);
    const index = this.#leaves.length - 1;
    return {
      index,
      proof: proofOfLast(this.#leaves),
      checkpoint: signNote(encodeCheckpoint({ origin: this.origin, ...range.head }), signers),
    };
  }
}

/** The hashes to the left of the last leaf: a compact range without it, from the right. */
function proofOfLast(leaves: readonly Buffer[]): readonly Buffer[] {
  const range = CompactRange.empty();
  for (const leaf of leaves.slice(0, -1)) range.append(leaf);
  return range.hashes().toReversed();
}

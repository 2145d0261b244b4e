import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { logKey, witnessKey } from "./testing/fixture-keys.ts";
import { ownVector } from "./testing/fixture-vectors.ts";
import {
  addSignature,
  buildConsistencyProof,
  buildInclusionProof,
  CompactRange,
  cosignCheckpoint,
  encodeAddCheckpointRequest,
  encodeCheckpoint,
  encodeEntryBundle,
  encodeProofFile,
  encodeVerifierKey,
  hashLeaf,
  openCheckpoint,
  parseEntryBundle,
  parseVerifierKey,
  signNote,
  verifyCosignature,
  verifyProofFile,
} from "./index.ts";

interface VectorKey {
  readonly name: string;
  readonly seedByte: number;
  readonly vkey: string;
}

interface Vectors {
  readonly keys: { readonly log: VectorKey; readonly witness: VectorKey };
  readonly entryBundleHex: string;
  readonly checkpointBody: string;
  readonly signedCheckpoint: string;
  readonly cosignature: { readonly timeSeconds: number; readonly line: string };
  readonly cosignedCheckpoint: string;
  readonly proofFile: { readonly index: number; readonly extraUtf8: string; readonly text: string };
  readonly addCheckpoint: { readonly oldSize: number; readonly text: string };
}

// If one of these changes, logs and proofs written before can no longer be read.
describe("the vectors signed-formats.json", () => {
  const vectors: Vectors = JSON.parse(ownVector("signed-formats.json"));
  const { entriesHex, roots }: { entriesHex: string[]; roots: string[] } = JSON.parse(
    ownVector("rfc6962-roots.json"),
  );
  const entries = entriesHex.map((hex) => Buffer.from(hex, "hex"));
  const nodes = new Map<string, Buffer>();
  const range = CompactRange.empty();
  range.appendEntries(entries, (level, index, hash) => nodes.set(`${level}/${index}`, hash));
  const reader = (level: number, index: number): Buffer =>
    nodes.get(`${level}/${index}`) ?? Buffer.alloc(0);
  const log = logKey(vectors.keys.log.name, vectors.keys.log.seedByte);
  const witness = witnessKey(vectors.keys.witness.name, vectors.keys.witness.seedByte);
  const origin = vectors.keys.log.name;

  it("are what this package writes", () => {
    const {
      checkpointBody,
      signedCheckpoint,
      cosignature,
      cosignedCheckpoint,
      proofFile,
      addCheckpoint,
    } = vectors;
    assert.equal(encodeVerifierKey(log.verifier), vectors.keys.log.vkey);
    assert.equal(encodeVerifierKey(witness.verifier), vectors.keys.witness.vkey);
    assert.equal(encodeEntryBundle(entries).toString("hex"), vectors.entryBundleHex);
    assert.equal(encodeCheckpoint({ origin, size: 8, root: range.root() }), checkpointBody);
    assert.equal(signNote(checkpointBody, [log.signer]), signedCheckpoint);
    assert.equal(
      cosignCheckpoint(checkpointBody, cosignature.timeSeconds, witness.signer),
      cosignature.line,
    );
    assert.equal(addSignature(signedCheckpoint, cosignature.line), cosignedCheckpoint);
    const extra = Buffer.from(proofFile.extraUtf8);
    const inclusion = buildInclusionProof(reader, proofFile.index, 8);
    assert.equal(
      encodeProofFile({
        index: proofFile.index,
        proof: inclusion,
        checkpoint: cosignedCheckpoint,
        extra,
      }),
      proofFile.text,
    );
    const { oldSize } = addCheckpoint;
    const proof = buildConsistencyProof(reader, oldSize, 8);
    assert.equal(
      encodeAddCheckpointRequest({ oldSize, proof, checkpoint: signedCheckpoint }),
      addCheckpoint.text,
    );
  });

  it("are what this package accepts, with the keys that they name", () => {
    const verifiers = [
      parseVerifierKey(vectors.keys.log.vkey),
      parseVerifierKey(vectors.keys.witness.vkey),
    ];
    const opened = openCheckpoint(vectors.cosignedCheckpoint, { origin, verifiers });
    assert.deepEqual(
      [opened.size, opened.root.toString("hex"), opened.verified.length],
      [8, roots[8], 2],
    );
    assert.equal(
      verifyCosignature(vectors.cosignedCheckpoint, witness.verifier).timeSeconds,
      vectors.cosignature.timeSeconds,
    );
    const [, , , , , entry = Buffer.alloc(0)] = parseEntryBundle(
      Buffer.from(vectors.entryBundleHex, "hex"),
    );
    const { index } = verifyProofFile(vectors.proofFile.text, {
      leafHash: hashLeaf(entry),
      origin,
      verifiers,
    });
    assert.equal(index, 5);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeCheckpoint } from "./checkpoint.ts";
import { cosignCheckpoint } from "./cosignature.ts";
import { logKey, witnessKey } from "./testing/fixture-keys.ts";
import { refuses, survives } from "./testing/fixture-refusal.ts";
import { mth, naiveReader } from "./testing/fixture-tree.ts";
import { NEEDS_VECTORS, publishedVector } from "./testing/fixture-vectors.ts";
import { buildInclusionProof } from "./inclusion.ts";
import { addSignature, signNote } from "./note.ts";
import { encodeProofFile, parseProofFile, verifyProofFile } from "./proof-file.ts";
import { MAX_TREE_SIZE } from "./tree-size.ts";

const origin = "log.example";
const [index, size] = [5, 11];
const log = logKey(origin, 1);
const witness = witnessKey("witness.example", 2);
const body = encodeCheckpoint({ origin, size, root: mth(0, size) });
const checkpoint = addSignature(
  signNote(body, [log.signer]),
  cosignCheckpoint(body, 1_700_000_000, witness.signer),
);
const proof = buildInclusionProof(naiveReader, index, size);
const file = encodeProofFile({ index, proof, checkpoint });
const expected = { leafHash: mth(5, 6), origin, verifiers: [log.verifier, witness.verifier] };

function hashes(count: number): Buffer[] {
  return Array.from({ length: count }, () => mth(0, 2));
}

describe("verifyProofFile()", () => {
  it("gives the index, the checkpoint, and who signed it", () => {
    for (const text of [file, Buffer.from(file)]) {
      const verified = verifyProofFile(text, expected);
      assert.equal(verified.index, index);
      assert.equal(verified.checkpoint.size, size);
      assert.deepEqual(
        verified.checkpoint.verified.map(({ name }) => name),
        [origin, "witness.example"],
      );
    }
  });

  it("accepts the only entry of a tree, whose proof is empty", () => {
    const single = signNote(encodeCheckpoint({ origin, size: 1, root: mth(0, 1) }), [log.signer]);
    const text = encodeProofFile({ index: 0, proof: [], checkpoint: single });
    assert.equal(text, `c2sp.org/tlog-proof@v1\nindex 0\n\n${single}`);
    assert.equal(verifyProofFile(text, { ...expected, leafHash: mth(0, 1) }).index, 0);
  });

  it("refuses another entry, index, log, key, proof or checkpoint", () => {
    refuses("ERR_TLOG_PROOF", () => verifyProofFile(file, { ...expected, leafHash: mth(6, 7) }));
    refuses("ERR_TLOG_PROOF", () =>
      verifyProofFile(file, { ...expected, leafHash: Buffer.alloc(31) }),
    );
    refuses("ERR_TLOG_PROOF", () => verifyProofFile(file.replace("index 5", "index 4"), expected));
    refuses("ERR_TLOG_PROOF", () => verifyProofFile(file.replace("index 5", "index 11"), expected));
    refuses("ERR_TLOG_CHECKPOINT", () =>
      verifyProofFile(file, { ...expected, origin: "other.example" }),
    );
    refuses("ERR_TLOG_NOTE_UNKNOWN_KEY", () =>
      verifyProofFile(file, { ...expected, verifiers: [witness.verifier] }),
    );
    refuses("ERR_TLOG_NOTE_SIGNATURE", () =>
      verifyProofFile(file.replace("\n11\n", "\n12\n"), expected),
    );
    for (const at of proof.keys()) {
      const changed = encodeProofFile({ index, proof: proof.with(at, mth(0, 2)), checkpoint });
      refuses("ERR_TLOG_PROOF", () => verifyProofFile(changed, expected));
      const shorter = encodeProofFile({ index, proof: proof.toSpliced(at, 1), checkpoint });
      refuses("ERR_TLOG_PROOF", () => verifyProofFile(shorter, expected));
    }
  });
});

describe("parseProofFile()", () => {
  it("refuses the published invalid files, each for its own fault", (t) => {
    const cases = publishedVector("formats/cases.json");
    if (cases === undefined) return t.skip(NEEDS_VECTORS);
    const { tlog_proof_invalid: invalid }: { tlog_proof_invalid: string[] } = JSON.parse(cases);
    assert.equal(invalid.length, 6);
    for (const text of invalid) {
      // Their checkpoint is a placeholder that is refused too: once as published, once with a real one.
      survives(() => assert.fail(JSON.stringify(parseProofFile(text))));
      const real = text.replace("\ncheckpoint\n", `\n${checkpoint}`);
      assert.notEqual(real, text);
      refuses("ERR_TLOG_PROOF_FILE", () => parseProofFile(real));
    }
  });

  it("reads what was written, with and without extra data", () => {
    assert.deepEqual(parseProofFile(file), { index, proof, checkpoint });
    const extra = Buffer.from("file.tar.gz");
    const withExtra = encodeProofFile({ index, proof, checkpoint, extra });
    assert.ok(
      withExtra.startsWith(`c2sp.org/tlog-proof@v1\nextra ${extra.toString("base64")}\nindex 5\n`),
    );
    assert.deepEqual(parseProofFile(withExtra), { index, proof, checkpoint, extra });
    assert.equal(verifyProofFile(withExtra, expected).index, index);
  });

  it("refuses every other form of the first lines", () => {
    const head = file.slice(0, file.indexOf("\n\n"));
    for (const [from, to] of [
      ["@v1", "@v2"],
      ["c2sp", "C2SP"],
      ["index 5", "index 05"],
      ["index 5", "index  5"],
      ["index 5", "index"],
      ["index 5", "Index 5"],
      ["index 5", "index 5 "],
      ["index 5", "index 9007199254740992"],
      ["index 5\n", ""],
      ["index 5", "extra "],
      ["index 5", "extra \nindex 5"],
      ["index 5", "extra\nindex 5"],
      ["index 5", "extra YQ\nindex 5"],
      ["index 5", "extra YR==\nindex 5"],
      ["index 5", "extra YQ==\nextra YQ==\nindex 5"],
      ["index 5", "index 5\nextra YQ=="],
      ["index 5", "index 5\nindex 5"],
      ["=\n", "\n"],
      ["=\n", "==\n"],
    ] as const) {
      assert.ok(head.includes(from) || from === "=\n");
      refuses("ERR_TLOG_PROOF_FILE", () => parseProofFile(file.replace(from, to)));
    }
    refuses("ERR_TLOG_PROOF_FILE", () => parseProofFile(head));
    refuses("ERR_TLOG_PROOF_FILE", () => parseProofFile(`${head}\n`), /No empty line/);
    refuses("ERR_TLOG_PROOF_FILE", () => parseProofFile(`\n${file}`));
    refuses("ERR_TLOG_PROOF_FILE", () => parseProofFile("\u0000"));
    assert.equal(
      parseProofFile(file.replace("index 5", `index ${MAX_TREE_SIZE}`)).index,
      MAX_TREE_SIZE,
    );
  });

  it("takes at most 63 hashes", () => {
    assert.equal(
      parseProofFile(encodeProofFile({ index, proof: hashes(63), checkpoint })).proof.length,
      63,
    );
    refuses(
      "ERR_TLOG_PROOF_FILE",
      () => encodeProofFile({ index, proof: hashes(64), checkpoint }),
      /too long/,
    );
    const longer = file.replace(
      "index 5\n",
      `index 5\n${`${mth(0, 2).toString("base64")}\n`.repeat(64)}`,
    );
    refuses("ERR_TLOG_PROOF_FILE", () => parseProofFile(longer), /too long/);
  });

  it("refuses what is not a signed checkpoint after the empty line", () => {
    const head = file.slice(0, file.indexOf("\n\n") + 2);
    refuses("ERR_TLOG_NOTE_MALFORMED", () => parseProofFile(head));
    refuses("ERR_TLOG_NOTE_MALFORMED", () => parseProofFile(head + body));
    refuses("ERR_TLOG_CHECKPOINT", () => parseProofFile(head + signNote("text\n", [log.signer])));
    refuses("ERR_TLOG_CHECKPOINT", () => parseProofFile(file.replace("\n\n", "\n\n\n")));
  });

  it("never answers with anything but its own error, and reads only what is written so", () => {
    const end = file.indexOf("\n\n") + 8;
    fc.assert(
      fc.property(
        fc.nat(end),
        fc.nat(3),
        fc.string({ unit: "binary", maxLength: 3 }),
        (at, cut, put) => {
          const changed = file.slice(0, at) + put + file.slice(at + cut);
          survives(() => verifyProofFile(changed, expected));
          const parsed = survives(() => parseProofFile(changed));
          if (parsed !== undefined) assert.equal(encodeProofFile(parsed), changed);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("encodeProofFile()", () => {
  it("refuses what its reader would refuse", () => {
    for (const wrong of [
      { index: -1 },
      { index: 0.5 },
      { index: Number.NaN },
      { index: MAX_TREE_SIZE + 1 },
      { extra: Buffer.alloc(0) },
      { proof: [Buffer.alloc(31)] },
      { extra: Buffer.alloc(2 * 1024 * 1024) },
    ])
      refuses("ERR_TLOG_PROOF_FILE", () => encodeProofFile({ index, proof, checkpoint, ...wrong }));
    refuses("ERR_TLOG_NOTE_MALFORMED", () => encodeProofFile({ index, proof, checkpoint: body }));
  });
});

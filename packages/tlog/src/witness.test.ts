import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { encodeCheckpoint, openCheckpoint } from "./checkpoint.ts";
import { buildConsistencyProof } from "./consistency.ts";
import { cosignCheckpoint, verifyCosignature } from "./cosignature.ts";
import { logKey, witnessKey } from "./testing/fixture-keys.ts";
import { refuses, survives } from "./testing/fixture-refusal.ts";
import { mth, naiveReader } from "./testing/fixture-tree.ts";
import { EMPTY_ROOT } from "./hash.ts";
import { addSignature, signNote } from "./note.ts";
import { MAX_TREE_SIZE } from "./tree-size.ts";
import {
  encodeAddCheckpointRequest,
  encodeWitnessSize,
  parseAddCheckpointRequest,
  parseWitnessSignatures,
  parseWitnessSize,
  verifyGrowth,
} from "./witness.ts";

const origin = "log.example";
const log = logKey(origin, 1);
const witness = witnessKey("witness.example", 2);
const [oldSize, size] = [6, 11];
const body = encodeCheckpoint({ origin, size, root: mth(0, size) });
const checkpoint = signNote(body, [log.signer]);
const proof = buildConsistencyProof(naiveReader, oldSize, size);
const request = encodeAddCheckpointRequest({ oldSize, proof, checkpoint });

function fromSize(old: number): string {
  return encodeAddCheckpointRequest({ oldSize: old, proof: [], checkpoint });
}

function hashes(count: number): Buffer[] {
  return Array.from({ length: count }, () => mth(0, 2));
}

describe("add-checkpoint", () => {
  it("goes through from the log to the witness and back", () => {
    const received = parseAddCheckpointRequest(Buffer.from(request));
    const opened = openCheckpoint(received.checkpoint, {
      origin: received.unverified.origin,
      verifiers: [log.verifier],
    });
    verifyGrowth({ size: oldSize, root: mth(0, oldSize) }, opened, received.proof);
    const answer = cosignCheckpoint(opened.body, 1_700_000_000, witness.signer);
    assert.deepEqual(
      parseWitnessSignatures(answer).map(({ name }) => name),
      ["witness.example"],
    );
    const { timeSeconds } = verifyCosignature(addSignature(checkpoint, answer), witness.verifier);
    assert.equal(timeSeconds, 1_700_000_000);
  });

  it("has the form of the specification", () => {
    const lines = proof.map((hash) => `${hash.toString("base64")}\n`).join("");
    assert.equal(request, `old 6\n${lines}\n${checkpoint}`);
    assert.equal(
      encodeAddCheckpointRequest({ oldSize: 0, proof: [], checkpoint }),
      `old 0\n\n${checkpoint}`,
    );
  });

  it("is read back as it was written", () => {
    const { unverified, ...rest } = parseAddCheckpointRequest(request);
    assert.deepEqual(rest, { oldSize, proof, checkpoint });
    assert.deepEqual([unverified.origin, unverified.size], [origin, size]);
  });

  it("is refused in every other form", () => {
    const head = request.slice(0, request.indexOf("\n\n"));
    for (const [from, to] of [
      ["old 6", "old 06"],
      ["old 6", "old -6"],
      ["old 6", "old  6"],
      ["old 6", "old 6 "],
      ["old 6", "Old 6"],
      ["old 6", "old"],
      ["old 6\n", ""],
      ["old 6", "old 6\nold 6"],
      ["old 6", "old 9007199254740992"],
      ["=\n", "\n"],
      ["old 6\n", "\nold 6\n"],
      ["old 6", "\u0007old 6"],
    ] as const)
      refuses("ERR_TLOG_WITNESS", () => parseAddCheckpointRequest(request.replace(from, to)));
    refuses("ERR_TLOG_WITNESS", () => parseAddCheckpointRequest(head));
    refuses("ERR_TLOG_WITNESS", () => parseAddCheckpointRequest(`${head}\n`), /No empty line/);
    refuses("ERR_TLOG_NOTE_MALFORMED", () => parseAddCheckpointRequest(`${head}\n\n${body}`));
    refuses("ERR_TLOG_CHECKPOINT", () =>
      parseAddCheckpointRequest(`${head}\n\n${signNote("text\n", [log.signer])}`),
    );
  });

  it("is refused with an old size above that of the checkpoint", () => {
    assert.equal(parseAddCheckpointRequest(fromSize(size)).oldSize, size);
    refuses(
      "ERR_TLOG_WITNESS",
      () => parseAddCheckpointRequest(request.replace("old 6", "old 12")),
      /above/,
    );
    refuses("ERR_TLOG_WITNESS", () => fromSize(size + 1), /above/);
  });

  it("is refused with more than 63 hashes, or too long", () => {
    const most = encodeAddCheckpointRequest({ oldSize, proof: hashes(63), checkpoint });
    assert.equal(parseAddCheckpointRequest(most).proof.length, 63);
    refuses("ERR_TLOG_WITNESS", () =>
      encodeAddCheckpointRequest({ oldSize, proof: hashes(64), checkpoint }),
    );
    const longer = most.replace("\n\n", `\n${mth(0, 2).toString("base64")}\n\n`);
    refuses("ERR_TLOG_WITNESS", () => parseAddCheckpointRequest(longer), /too long/);
    refuses(
      "ERR_TLOG_WITNESS",
      () => parseAddCheckpointRequest("x".repeat(1024 * 1024 + 4097)),
      /too long/,
    );
  });

  it("is not written with a size or hash that is none", () => {
    for (const wrong of [-1, 0.5, Number.NaN, MAX_TREE_SIZE + 1])
      refuses("ERR_TLOG_WITNESS", () =>
        encodeAddCheckpointRequest({ oldSize: wrong, proof, checkpoint }),
      );
    refuses("ERR_TLOG_WITNESS", () =>
      encodeAddCheckpointRequest({ oldSize, proof: [Buffer.alloc(31)], checkpoint }),
    );
  });

  it("never gets an answer but its own error, and is read only as it is written", () => {
    const end = request.indexOf("\n\n") + 30;
    fc.assert(
      fc.property(
        fc.nat(end),
        fc.nat(3),
        fc.string({ unit: "binary", maxLength: 3 }),
        (at, cut, put) => {
          const changed = request.slice(0, at) + put + request.slice(at + cut);
          const parsed = survives(() => parseAddCheckpointRequest(changed));
          if (parsed !== undefined) assert.equal(encodeAddCheckpointRequest(parsed), changed);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("verifyGrowth()", () => {
  const nothing = { size: 0, root: EMPTY_ROOT };
  const held = { size: oldSize, root: mth(0, oldSize) };
  const next = { size, root: mth(0, size) };

  it("accepts the first checkpoint, a larger one and the same one", () => {
    verifyGrowth(nothing, next, []);
    verifyGrowth(nothing, nothing, []);
    verifyGrowth(held, next, proof);
    verifyGrowth(held, held, []);
  });

  it("refuses a first checkpoint with a proof, and one after a root that is not empty", () => {
    refuses("ERR_TLOG_PROOF", () => verifyGrowth(nothing, next, proof));
    refuses("ERR_TLOG_PROOF", () => verifyGrowth({ size: 0, root: mth(0, 1) }, next, []));
  });

  it("refuses a shorter tree, another tree of the same size, and one without proof (THREAT-06, THREAT-07)", () => {
    refuses("ERR_TLOG_PROOF", () => verifyGrowth(next, held, []));
    refuses("ERR_TLOG_PROOF", () => verifyGrowth(held, nothing, []));
    refuses("ERR_TLOG_PROOF", () => verifyGrowth(held, { size: oldSize, root: mth(0, 5) }, []));
    refuses("ERR_TLOG_PROOF", () => verifyGrowth(held, next, []));
    refuses("ERR_TLOG_PROOF", () => verifyGrowth({ size: oldSize, root: mth(0, 7) }, next, proof));
  });
});

describe("the size in answer 409", () => {
  it("is a decimal number and a newline", () => {
    for (const value of [0, 7, 20852163, MAX_TREE_SIZE]) {
      assert.equal(encodeWitnessSize(value), `${value}\n`);
      assert.equal(parseWitnessSize(encodeWitnessSize(value)), value);
      assert.equal(parseWitnessSize(Buffer.from(`${value}\n`)), value);
    }
  });

  it("is refused in every other form", () => {
    for (const text of [
      "",
      "\n",
      "7",
      "07\n",
      "7\n\n",
      " 7\n",
      "-7\n",
      "7\r\n",
      "9007199254740992\n",
      `${"1".repeat(17)}\n`,
    ])
      refuses("ERR_TLOG_WITNESS", () => parseWitnessSize(text));
    for (const value of [-1, 0.5, Number.NaN, MAX_TREE_SIZE + 1])
      refuses("ERR_TLOG_WITNESS", () => encodeWitnessSize(value));
  });
});

describe("parseWitnessSignatures()", () => {
  it("reads lines and refuses everything else", () => {
    const line = cosignCheckpoint(body, 1, witness.signer);
    assert.equal(parseWitnessSignatures(line + line).length, 2);
    for (const text of ["", "\n", line.slice(0, -1), `${line}\n`, `${line}x`, line.repeat(101)])
      refuses("ERR_TLOG_NOTE_MALFORMED", () => parseWitnessSignatures(text));
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        (bytes) => void survives(() => parseWitnessSignatures(bytes)),
      ),
    );
  });
});

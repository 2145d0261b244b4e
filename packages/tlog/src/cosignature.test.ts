import assert from "node:assert/strict";
import { verify } from "node:crypto";
import { describe, it } from "node:test";
import { encodeCheckpoint } from "./checkpoint.ts";
import { cosignCheckpoint, verifyCosignature } from "./cosignature.ts";
import { ed25519Key, logKey, witnessKey } from "./testing/fixture-keys.ts";
import { refuses } from "./testing/fixture-refusal.ts";
import { mth } from "./testing/fixture-tree.ts";
import { ed25519Cosigner, ed25519Signer } from "./note-signer.ts";
import { addSignature, parseNote, signNote } from "./note.ts";
import { encodeSignatureLine } from "./signature-line.ts";
import { encodeTimestamped } from "./timestamped-signature.ts";

const time = 1_679_315_147;
const body = encodeCheckpoint({ origin: "log.example", size: 7, root: mth(0, 7) });
const log = logKey("log.example", 1);
const witness = witnessKey("witness.example", 2);
const second = witnessKey("second.example", 3);
const note = signNote(body, [log.signer]);
const line = cosignCheckpoint(body, time, witness.signer);
const cosigned = addSignature(note, line);

function parts(text: string): { name: string; keyId: number; signature: Buffer } {
  const [signature] = parseNote(`${body}\n${text}`).signatures;
  assert(signature !== undefined);
  return signature;
}

describe("cosignCheckpoint()", () => {
  it("signs header, time and body, and puts the time in 64 bits before the signature (C2SP tlog-cosignature)", () => {
    const { name, keyId, signature } = parts(line);
    assert.deepEqual([name, keyId], [witness.verifier.name, witness.verifier.keyId]);
    assert.equal(signature.length, 72);
    assert.equal(signature.readBigUInt64BE(), BigInt(time));
    const message = Buffer.from(`cosignature/v1\ntime ${time}\n${body}`);
    assert.equal(verify(null, message, witness.verifier.publicKey, signature.subarray(8)), true);
  });

  it("takes times from 0 to the largest that a number holds", () => {
    for (const at of [0, 1, Number.MAX_SAFE_INTEGER]) {
      const text = addSignature(note, cosignCheckpoint(body, at, witness.signer));
      assert.equal(verifyCosignature(text, witness.verifier).timeSeconds, at);
    }
    for (const at of [-1, 0.5, Number.NaN, Infinity, Number.MAX_SAFE_INTEGER + 1])
      refuses("ERR_TLOG_COSIGNATURE", () => cosignCheckpoint(body, at, witness.signer), /Time/);
  });

  it("cosigns nothing but checkpoints, and only with the key of a cosigner", () => {
    refuses("ERR_TLOG_CHECKPOINT", () => cosignCheckpoint("text\n", time, witness.signer));
    refuses("ERR_TLOG_CHECKPOINT", () => cosignCheckpoint(body.slice(0, -1), time, witness.signer));
    refuses("ERR_TLOG_COSIGNATURE", () => cosignCheckpoint(body, time, log.signer), /type/);
  });
});

describe("verifyCosignature()", () => {
  it("gives the time and the checkpoint", () => {
    const { timeSeconds, checkpoint } = verifyCosignature(cosigned, witness.verifier);
    assert.equal(timeSeconds, time);
    assert.deepEqual(
      [checkpoint.origin, checkpoint.size, checkpoint.root],
      ["log.example", 7, mth(0, 7)],
    );
  });

  it("finds its cosigner among others", () => {
    const both = addSignature(cosigned, cosignCheckpoint(body, time + 5, second.signer));
    assert.equal(verifyCosignature(both, witness.verifier).timeSeconds, time);
    assert.equal(verifyCosignature(both, second.verifier).timeSeconds, time + 5);
  });

  it("refuses a note that the cosigner did not sign", () => {
    refuses("ERR_TLOG_NOTE_UNKNOWN_KEY", () => verifyCosignature(cosigned, second.verifier));
    refuses("ERR_TLOG_NOTE_UNKNOWN_KEY", () => verifyCosignature(note, witness.verifier));
  });

  it("refuses every flipped bit of time and signature, and other lengths", () => {
    const { signature, ...label } = parts(line);
    for (let bit = 0; bit < 72 * 8; bit++) {
      const flipped = Buffer.from(signature);
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      const changed = addSignature(note, encodeSignatureLine({ ...label, signature: flipped }));
      refuses("ERR_TLOG_NOTE_SIGNATURE", () => verifyCosignature(changed, witness.verifier));
    }
    for (const other of [
      signature.subarray(1),
      signature.subarray(8),
      signature.subarray(0, 7),
      Buffer.concat([signature, Buffer.of(0)]),
    ]) {
      const changed = addSignature(note, encodeSignatureLine({ ...label, signature: other }));
      refuses("ERR_TLOG_NOTE_SIGNATURE", () => verifyCosignature(changed, witness.verifier));
    }
  });

  it("refuses a time that no JavaScript number holds, though the cosigner signed it", () => {
    const signer = ed25519Signer("witness.example", ed25519Key(2));
    for (const [timeSeconds, isTaken] of [
      [2 ** 53 - 1, true],
      [2 ** 60, false],
    ] as const) {
      const bytes = signer.sign(Buffer.from(`cosignature/v1\ntime ${timeSeconds}\n${body}`));
      const signature = encodeTimestamped({ timeSeconds, signature: bytes });
      const far = addSignature(note, encodeSignatureLine({ ...witness.verifier, signature }));
      if (isTaken) verifyCosignature(far, witness.verifier);
      else refuses("ERR_TLOG_NOTE_SIGNATURE", () => verifyCosignature(far, witness.verifier));
    }
  });

  it("refuses a cosignature of another checkpoint", () => {
    const next = encodeCheckpoint({ origin: "log.example", size: 8, root: mth(0, 8) });
    const moved = addSignature(signNote(next, [log.signer]), line);
    refuses("ERR_TLOG_NOTE_SIGNATURE", () => verifyCosignature(moved, witness.verifier));
  });

  it("refuses a signature over the note as such by the same key, and a cosignature in place of one", () => {
    const key = ed25519Key(2);
    const asNote = ed25519Signer("witness.example", key).sign(Buffer.from(body));
    const bare = encodeSignatureLine({
      ...witness.verifier,
      signature: Buffer.concat([Buffer.alloc(8), asNote]),
    });
    refuses("ERR_TLOG_NOTE_SIGNATURE", () =>
      verifyCosignature(addSignature(note, bare), witness.verifier),
    );
    assert.notEqual(
      ed25519Cosigner("witness.example", key).keyId,
      ed25519Signer("witness.example", key).keyId,
    );
  });

  it("refuses the key of a log, even where it signed", () => {
    refuses("ERR_TLOG_COSIGNATURE", () => verifyCosignature(note, log.verifier), /type/);
  });

  it("refuses a cosigned text that is not a checkpoint", () => {
    const text = "text\n";
    const bare = witness.signer.sign(Buffer.from(`cosignature/v1\ntime 0\n${text}`));
    const signature = Buffer.concat([Buffer.alloc(8), bare]);
    const forged = `${text}\n${encodeSignatureLine({ ...witness.verifier, signature })}`;
    refuses("ERR_TLOG_CHECKPOINT", () => verifyCosignature(forged, witness.verifier));
  });
});

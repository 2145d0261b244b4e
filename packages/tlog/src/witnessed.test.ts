import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeCheckpoint } from "./checkpoint.ts";
import { cosignCheckpoint } from "./cosignature.ts";
import { logKey, witnessKey } from "./testing/fixture-keys.ts";
import { refuses } from "./testing/fixture-refusal.ts";
import { mth } from "./testing/fixture-tree.ts";
import { EMPTY_ROOT } from "./hash.ts";
import { cosignWitnessed, openWitnessed } from "./witnessed.ts";

const witness = witnessKey("witness.example", 2);
const other = witnessKey("witness.example", 3);
const question = { log: "log.example/2026q4", nonce: "n".repeat(22) };
const tree = { size: 7, root: mth(0, 7) };
const by = { signer: witness.signer, timeSeconds: 1_679_315_147 };

describe("THREAT-38: what a witness holds now", () => {
  it("is read by whoever asked", () => {
    const note = cosignWitnessed(question, tree, by);
    const { timeSeconds } = by;
    assert.deepEqual(openWitnessed(note, question, witness.verifier), { ...tree, timeSeconds });
  });

  it("may be nothing", () => {
    const nothing = { size: 0, root: EMPTY_ROOT };
    const note = cosignWitnessed(question, nothing, by);
    const { timeSeconds } = by;
    assert.deepEqual(openWitnessed(note, question, witness.verifier), { ...nothing, timeSeconds });
  });

  it("answers no other question: another nonce, another log, another witness", () => {
    const note = cosignWitnessed(question, tree, by);
    const open = (asked: typeof question, key = witness.verifier) =>
      openWitnessed(note, asked, key);
    refuses("ERR_TLOG_COSIGNATURE", () => open({ ...question, nonce: "m".repeat(22) }));
    refuses("ERR_TLOG_COSIGNATURE", () => open({ ...question, log: "log.example/2027q1" }));
    refuses("ERR_TLOG_NOTE_UNKNOWN_KEY", () => open(question, other.verifier));
    const changed = note.replace("\n7\n", "\n8\n");
    refuses("ERR_TLOG_NOTE_SIGNATURE", () => openWitnessed(changed, question, witness.verifier));
  });

  it("answers about one log, and says nothing beside it", () => {
    const origin = `redoubt/witnessed/${question.nonce}`;
    for (const extensions of [[], [question.log, "more"], ["more", question.log]]) {
      const body = encodeCheckpoint({ origin, ...tree, extensions });
      const note = `${body}\n${cosignCheckpoint(body, by.timeSeconds, by.signer)}`;
      refuses("ERR_TLOG_COSIGNATURE", () => openWitnessed(note, question, witness.verifier));
    }
  });

  it("is signed by a key that cosigns only", () => {
    const { signer } = logKey("log.example", 1);
    refuses("ERR_TLOG_COSIGNATURE", () => cosignWitnessed(question, tree, { ...by, signer }));
  });
});

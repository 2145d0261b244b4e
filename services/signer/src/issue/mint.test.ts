import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { until } from "@redoubt/testkit";
import { ServiceError } from "@redoubt/base";
import type { IssuedToken } from "@redoubt/wire";
import { TestClock } from "@redoubt/testkit";

import { grant, isSignedWith } from "../testing/unsigned-token.ts";
import type { SealedBatch } from "./bodies.ts";
import { Mint, MIN_SECOND_BATCH, type MintOptions } from "./mint.ts";

interface Submitted {
  readonly count: number;
  readonly commit: (first: number) => void;
  readonly fail: () => void;
}

function open(replaced: Partial<MintOptions> = {}) {
  const clock = new TestClock();
  const submitted: Submitted[] = [];
  const submit = ({ entries }: SealedBatch): Promise<number> =>
    new Promise((commit, reject) => {
      const fail = (): void => reject(new ServiceError("ERR_SIGNER_LOG", "Failed"));
      submitted.push({ count: entries.length, commit, fail });
    });
  const mint = new Mint({
    log: { check: () => undefined, submit },
    origin: "log",
    seal: (tokens) => ({ entries: tokens.map(({ digest }) => digest), blobs: [] }),
    checkIssue: () => undefined,
    checkSign: () => undefined,
    clock,
    ...replaced,
  });
  const ask = (count: number): Promise<IssuedToken>[] =>
    Array.from({ length: count }, () => mint.issue(mint.build(grant(), "issuer")));
  return { clock, submitted, mint, ask };
}

async function indexes(asked: readonly Promise<IssuedToken>[]): Promise<number[]> {
  return (await Promise.all(asked)).map(({ index }) => index);
}

const refuse = (code: string) => (): never => {
  throw new ServiceError(code, "Refused");
};

describe("mint", () => {
  it("what arrives in one turn shares a commit, and no more than 256 do", async () => {
    const { submitted, ask } = open();
    const asked = ask(384);
    await until(() => submitted.length === 2);
    assert.deepEqual(
      submitted.map(({ count }) => count),
      [256, 128],
    );
    for (const [place, { commit }] of submitted.entries()) commit(place * 256);
    const tokens = await Promise.all(asked);
    assert.deepEqual(
      tokens.map(({ index }) => index),
      [...tokens.keys()],
    );
  });

  it("two batches under way: each token has the place of its own batch, in whatever order they end", async () => {
    const { submitted, ask } = open();
    const first = ask(2);
    await until(() => submitted.length === 1);
    const second = ask(MIN_SECOND_BATCH);
    await until(() => submitted.length === 2);
    const third = ask(MIN_SECOND_BATCH);
    submitted[1]?.commit(2);
    assert.deepEqual(
      await indexes(second),
      Array.from({ length: MIN_SECOND_BATCH }, (_, place) => 2 + place),
    );
    await until(() => submitted.length === 3);
    submitted[0]?.commit(0);
    assert.deepEqual(await indexes(first), [0, 1]);
    submitted[2]?.commit(500);
    assert.deepEqual((await indexes(third)).at(-1), 500 + MIN_SECOND_BATCH - 1);
  });

  it("a few requests do not go beside a batch under way, and go when it ended", async () => {
    const { submitted, ask } = open();
    const first = ask(1);
    await until(() => submitted.length === 1);
    const second = ask(MIN_SECOND_BATCH - 1);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    assert.equal(submitted.length, 1);
    submitted[0]?.commit(0);
    await Promise.all(first);
    await until(() => submitted.length === 2);
    assert.equal(submitted[1]?.count, MIN_SECOND_BATCH - 1);
    submitted[1]?.commit(1);
    await Promise.all(second);
  });

  it("nothing is signed of a batch that failed", async () => {
    let checks = 0;
    const { submitted, ask } = open({ checkSign: () => void (checks += 1) });
    const asked = Promise.allSettled(ask(5));
    await until(() => submitted.length === 1);
    submitted[0]?.fail();
    assert.deepEqual(new Set((await asked).map(({ status }) => status)), new Set(["rejected"]));
    assert.equal(checks, 0);
  });

  it("a key that may not sign any more does not, though the batch was committed", async () => {
    const { submitted, ask } = open({ checkSign: refuse("ERR_SIGNER_NO_KEY") });
    const [asked] = ask(1);
    await until(() => submitted.length === 1);
    submitted[0]?.commit(0);
    await assert.rejects(asked ?? Promise.resolve(), { code: "ERR_SIGNER_NO_KEY" });
  });

  it("nothing is committed when witness, registry or clock forbid it between asking and committing", async () => {
    let isForbidden = false;
    const { submitted, ask } = open({
      checkIssue: () => {
        if (isForbidden) refuse("ERR_SIGNER_UNWITNESSED")();
      },
    });
    const [asked] = ask(1);
    isForbidden = true;
    await assert.rejects(asked ?? Promise.resolve(), { code: "ERR_SIGNER_UNWITNESSED" });
    assert.equal(submitted.length, 0);
  });

  it("what waited for longer than anybody waits is neither committed nor signed", async () => {
    const { clock, submitted, ask } = open();
    const late = [...ask(256), ...ask(256)];
    await until(() => submitted.length === 2);
    const [unsent] = ask(1);
    clock.forward(15.001);
    const settled = Promise.allSettled([...late, unsent]);
    for (const { commit } of submitted) commit(0);
    for (const result of await settled)
      assert.equal(result.status === "rejected" && result.reason.code, "ERR_SIGNER_LOG");
    assert.equal(submitted.length, 2);
  });

  it("15 s are not too long", async () => {
    const { clock, submitted, ask } = open();
    const [asked] = ask(1);
    await until(() => submitted.length === 1);
    clock.forward(15);
    submitted[0]?.commit(7);
    const token = await asked;
    assert.equal(token?.index, 7);
    assert.equal(isSignedWith(grant().key, token?.token ?? ""), true);
  });

  it("a full queue is refused, and nothing of it is lost", async () => {
    const { submitted, mint, ask } = open();
    const asked = ask(8192);
    assert.throws(() => mint.issue(mint.build(grant(), "issuer")), { code: "ERR_SIGNER_BUSY" });
    let next = 0;
    const all = Promise.all(asked);
    let isOver = false;
    void all.then(() => (isOver = true));
    await until(() => {
      for (const { count, commit } of submitted.splice(0)) {
        commit(next);
        next += count;
      }
      return isOver;
    });
    assert.equal((await all).length, 8192);
  });

  it("a seal that fails refuses its batch and the next goes on", async () => {
    let isBroken = true;
    const { submitted, ask } = open({
      seal: (tokens) => {
        if (isBroken) throw new RangeError("Broken");
        return { entries: tokens.map(({ digest }) => digest), blobs: [] };
      },
    });
    const [broken] = ask(1);
    await assert.rejects(broken ?? Promise.resolve(), RangeError);
    isBroken = false;
    const [asked] = ask(1);
    await until(() => submitted.length === 1);
    submitted[0]?.commit(0);
    assert.equal((await asked)?.index, 0);
  });
});

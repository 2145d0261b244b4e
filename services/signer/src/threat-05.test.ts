import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ServiceError } from "@redoubt/base";
import type { Answer, Call } from "@redoubt/wire";
import { changed, FakeLog, type Honest, until } from "@redoubt/testkit";
import { MIN_SECOND_BATCH } from "./issue/mint.ts";
import { digestOf, text } from "./testing/answers.ts";
import { Deployment, refusalOf, WANTED } from "./testing/deployment.ts";

/** A ledger that fails its first commits in one way, and then is honest. */
function failing(count: number, fail: (honest: Honest) => Promise<Answer>) {
  let left = count;
  return ({ op }: Call, honest: Honest): Promise<Answer> => {
    if (op !== "commit" || left === 0) return honest();
    left -= 1;
    return fail(honest);
  };
}

function refuse(code: string): () => Promise<Answer> {
  return async () => {
    throw new ServiceError(code, "Refused");
  };
}

/** The honest answer with one member changed. */
function withCheckpoint(honest: Honest, checkpoint: unknown): Promise<Answer> {
  return changed(honest, { checkpoint });
}

describe("THREAT-05: a ledger that cannot or will not commit", () => {
  for (const code of ["ERR_LEDGER_FULL", "ERR_LEDGER_IO", "ERR_LEDGER_HALTED"])
    it(`${code}: nothing is signed until it commits, then the same bytes are`, async () => {
      await using deployment = await Deployment.start();
      await deployment.openReady();
      const { custodian, ledger, events } = deployment;
      const { signed } = custodian;
      ledger.misbehave = failing(3, refuse(code));
      const issued = deployment.client().request(WANTED);
      await events.named("log_lost");
      assert.equal(custodian.signed, signed);
      assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_LOG");
      const { head } = await issued;
      assert.equal(custodian.signed, signed + 1);
      await events.named("log_back");
      const sent = ledger.commits().map((call) => [call.head, call.attachment]);
      assert.equal(sent.length, 4);
      for (const one of sent) assert.deepEqual(one, sent[0]);
      assert.equal(head["index"], 0);
      assert.equal(ledger.issuance.size, 1);
    });

  it("a lost acknowledgement: the batch is in the log once, and its token comes", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { ledger, events } = deployment;
    ledger.misbehave = failing(1, async (honest) => {
      await honest();
      throw new ServiceError("ERR_LEDGER_IO", "Answer lost");
    });
    const [first, second] = await Promise.all([
      deployment.client().request(WANTED),
      events.named("log_back").then(() => deployment.client().request(WANTED)),
    ]);
    assert.deepEqual([first.head["index"], second.head["index"]], [0, 1]);
    assert.equal(ledger.issuance.size, 2);
  });

  it("a ledger that restarts: connections break, what waited is committed, nothing is lost or doubled", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { ledger, custodian, events } = deployment;
    const { signed } = custodian;
    ledger.misbehave = async ({ op }, honest) => {
      if (op !== "commit") return honest();
      await honest();
      // Committed, never acknowledged.
      return new Promise<never>(() => undefined);
    };
    const issued = deployment.client().request(WANTED);
    await until(() => ledger.issuance.size === 1);
    await ledger.stop();
    await events.named("log_lost");
    assert.equal(custodian.signed, signed);
    ledger.misbehave = undefined;
    await ledger.start();
    assert.equal((await issued).head["index"], 0);
    assert.equal(ledger.issuance.size, 1);
    assert.equal(custodian.signed, signed + 1);
  });

  it("two batches under way, the first refused: both go again in order", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { ledger } = deployment;
    ledger.misbehave = failing(1, refuse("ERR_LEDGER_FULL"));
    const client = deployment.client();
    const answers = await Promise.all(Array.from({ length: 400 }, () => client.request(WANTED)));
    const places = answers.map(({ head }) => Number(head["index"])).toSorted((a, b) => a - b);
    assert.deepEqual(places, [...places.keys()]);
    assert.equal(ledger.issuance.size, 400);
    const bySize = new Map<unknown, unknown>();
    for (const { head } of ledger.commits()) {
      const size = Number(head["first"]) + Number(head["count"]);
      assert.equal(bySize.get(size) ?? head["checkpoint"], head["checkpoint"]);
      bySize.set(size, head["checkpoint"]);
    }
  });

  it("a later acknowledgement covers an earlier batch whose own was lost, and each knows its place", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { ledger } = deployment;
    const held: (() => void)[] = [];
    ledger.misbehave = async ({ op, head }, honest) => {
      const answer = await honest();
      if (op !== "commit" || head["first"] !== 0) return answer;
      // The first answer waits until the second has gone out, and is an error then.
      await new Promise<void>((resolve) => {
        held.push(resolve);
      });
      throw new ServiceError("ERR_LEDGER_IO", "Answer lost");
    };
    const client = deployment.client();
    const first = client.request(WANTED);
    await until(() => held.length === 1);
    const later = Array.from({ length: MIN_SECOND_BATCH }, () => client.request(WANTED));
    const indexes = (await Promise.all(later)).map(({ head }) => head["index"]);
    assert.deepEqual(
      indexes,
      Array.from(indexes, (_, place) => 1 + place),
    );
    assert.equal((await first).head["index"], 0);
    for (const release of held) release();
    // A third answer comes after that error on the same connection.
    assert.equal((await client.request(WANTED)).head["index"], 1 + MIN_SECOND_BATCH);
    assert.equal(deployment.events.count("log_lost"), 0);
  });

  const MALFORMED: readonly (readonly [string, (note: string, log: FakeLog) => unknown])[] = [
    ["no checkpoint", () => undefined],
    ["an empty checkpoint", () => ""],
    ["a number", () => 7],
    [
      "the signature of another log key",
      (_, log) => new FakeLog(log.origin).note(log.size, log.root()),
    ],
    [
      "the writer's signature alone",
      (note) => onlyLines(note, (line) => line.includes("/writer ")),
    ],
    ["the log's signature alone", (note) => onlyLines(note, (line) => !line.includes("/writer "))],
    ["a signature that is wrong", (note) => `${note.slice(0, -6)}AAAA=\n`],
  ];
  for (const [name, change] of MALFORMED)
    it(`an acknowledgement with ${name} is none: nothing is signed, then it recovers`, async () => {
      await using deployment = await Deployment.start();
      await deployment.openReady();
      const { custodian, ledger } = deployment;
      const { signed } = custodian;
      let lies = 0;
      ledger.misbehave = failing(2, async (honest) => {
        const note = String(Reflect.get((await honest()).head, "checkpoint"));
        lies += 1;
        assert.equal(custodian.signed, signed);
        return withCheckpoint(honest, change(note, ledger.issuance));
      });
      await deployment.client().request(WANTED);
      assert.equal(lies, 2);
      assert.equal(custodian.signed, signed + 1);
      assert.equal(deployment.events.count("halted"), 0);
    });

  const FORKS: readonly (readonly [string, (log: FakeLog) => string])[] = [
    ["another root", (log) => log.fork(log.size).checkpoint],
    ["a larger tree", (log) => log.fork(log.size + 1).checkpoint],
    ["the tree before", (log) => log.note(log.size - 1)],
  ];
  for (const [name, forge] of FORKS)
    it(`${name}, signed by the log key: halts for good, nothing is ever signed again`, async () => {
      await using deployment = await Deployment.start();
      const signer = await deployment.openReady();
      const { custodian, ledger, monitor } = deployment;
      await deployment.client().request(WANTED);
      const { signed } = custodian;
      ledger.misbehave = failing(1, async (honest) => {
        await honest();
        return withCheckpoint(honest, forge(ledger.issuance));
      });
      assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_LOG");
      await deployment.events.named("halted");
      assert.equal((await monitor.told.first(({ op }) => op === "event")).kind, "signer-halted");
      await signer.tick();
      assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_LOG");
      assert.equal(custodian.signed, signed);
      assert.equal(Reflect.get(await signer.status(), "ready"), false);
    });

  it("a batch that was acknowledged together with a fork is not signed any more", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { ledger, custodian } = deployment;
    const { signed } = custodian;
    const both = Promise.withResolvers<void>();
    let commits = 0;
    ledger.misbehave = async ({ op }, honest) => {
      if (op !== "commit") return honest();
      const answer = await honest();
      const isSecond = (commits += 1) === 2;
      if (isSecond) both.resolve();
      await both.promise;
      return isSecond
        ? withCheckpoint(async () => answer, ledger.issuance.fork(1 + MIN_SECOND_BATCH).checkpoint)
        : answer;
    };
    const client = deployment.client();
    const first = refusalOf(client.request(WANTED));
    await until(() => commits === 1);
    const second = Array.from({ length: MIN_SECOND_BATCH }, () =>
      refusalOf(client.request(WANTED)),
    );
    const refusals = await Promise.all([first, ...second]);
    assert.deepEqual(
      refusals,
      Array.from(refusals, () => "ERR_SIGNER_LOG"),
    );
    assert.equal(custodian.signed, signed);
  });

  for (const code of ["ERR_LEDGER_SIZE", "ERR_LEDGER_ROOT", "ERR_LEDGER_WRITER"])
    it(`THREAT-07: ${code} for our own place: other entries are there, it halts`, async () => {
      await using deployment = await Deployment.start();
      await deployment.openReady();
      const { custodian, ledger } = deployment;
      const { signed } = custodian;
      ledger.misbehave = failing(Infinity, refuse(code));
      assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_LOG");
      const { fields } = await deployment.events.named("halted");
      assert.match(String(fields["reason"]), /other entries/);
      assert.equal(custodian.signed, signed);
    });

  it("THREAT-06: a witness that holds another tree of our log halts it", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    await deployment.client().request(WANTED);
    const { ledger, clock } = deployment;
    const fork = ledger.issuance.fork(1);
    const { signer: witness } = ledger.witness;
    ledger.misbehave = ({ op, head }, honest) =>
      op === "state" && head["log"] === fork.origin
        ? changed(honest, { cosigned: fork.cosign(witness, clock.seconds) })
        : honest();
    await signer.tick();
    await deployment.events.named("halted");
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_LOG");
  });

  it("what is in the log under two contents at one size does not exist, whatever happens", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { ledger } = deployment;
    let count = 0;
    ledger.misbehave = async ({ op }, honest) => {
      if (op !== "commit") return honest();
      count += 1;
      if (count % 3 === 0) throw new ServiceError("ERR_LEDGER_FULL", "Full");
      const answer = await honest();
      if (count % 5 === 0) throw new ServiceError("ERR_LEDGER_IO", "Answer lost");
      return answer;
    };
    const client = deployment.client();
    const tokens: string[] = [];
    for (let round = 0; round < 12; round += 1) {
      const asked = Array.from({ length: 5 }, () => client.request(WANTED));
      for (const result of await Promise.allSettled(asked))
        if (result.status === "fulfilled") tokens.push(text(result.value.head, "token"));
      await until(
        () => deployment.events.count("log_lost") === deployment.events.count("log_back"),
      );
    }
    assert.ok(tokens.length > 20);
    const logged = new Set(
      ledger.issuance.entries.map((entry) => entry.subarray(1, 33).toString("hex")),
    );
    for (const token of tokens) assert.equal(logged.has(digestOf(token)), true);
    const notes = new Map<string, unknown>();
    for (const { head } of ledger.commits()) {
      const [, size = ""] = text(head, "checkpoint").split("\n");
      assert.equal(notes.get(size) ?? head["checkpoint"], head["checkpoint"]);
      notes.set(size, head["checkpoint"]);
    }
  });
});

/** The note with some of its signature lines. */
function onlyLines(note: string, isKept: (line: string) => boolean): string {
  const end = note.indexOf("\n\n") + 2;
  const lines = note.slice(end).trimEnd().split("\n");
  return `${note.slice(0, end)}${lines.filter(isKept).join("\n")}\n`;
}

import assert from "node:assert/strict";
import { generateKeyPairSync, hash, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import type { FakeLog } from "@redoubt/testkit";
import {
  addSignature,
  ed25519Signer,
  EMPTY_ROOT,
  encodeCheckpoint,
  hashLeaf,
  openWitnessed,
  parseVerifierKey,
  signNote,
  verifyCosignature,
} from "@redoubt/tlog";
import { issue, REGISTRY, START_SECONDS } from "../testing/deployment.ts";
import { MonitorWorld, type Answered } from "../testing/monitor-world.ts";

function grow(log: FakeLog, entries: number): void {
  for (let i = 0; i < entries; i++) issue(log);
}

describe("witness: C2SP tlog-witness", () => {
  it("200: cosigns the first checkpoint, its continuation and a repetition, with our time", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 3);
    const key = parseVerifierKey(world.keys.witness);
    const first = await world.submit(log.note());
    assert.equal(first.status, 200);
    const cosigned = verifyCosignature(addSignature(log.note(), first.body), key);
    assert.equal(cosigned.checkpoint.size, 3);
    assert.equal(cosigned.timeSeconds, START_SECONDS);
    grow(log, 5);
    const second = await world.submit(log.note(), 3, log.proveGrowth(3));
    assert.equal(second.status, 200);
    assert.equal(verifyCosignature(addSignature(log.note(), second.body), key).checkpoint.size, 8);
    assert.equal((await world.submit(log.note(), 8)).status, 200);
    assert.deepEqual(await world.alarms(), []);
  });

  it("200: takes the registry log with its one signature", async () => {
    await using world = await MonitorWorld.open();
    const { registry } = world.ledger;
    assert.equal((await world.submit(registry.note())).status, 200);
  });

  it("409: answers its size to another old size, as text/x.tlog.size", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 4);
    await world.submit(log.note());
    grow(log, 2);
    for (const old of [0, 3, 5]) {
      const answer = await world.submit(log.note(), old, log.proveGrowth(old));
      assert.equal(answer.status, 409);
      assert.equal(answer.headers["content-type"], "text/x.tlog.size");
      assert.equal(answer.body, "4\n");
    }
    // A smaller tree than was cosigned.
    const smaller = await world.submit(log.note(2), 2);
    assert.equal(smaller.status, 409);
    assert.equal(smaller.body, "4\n");
  });

  it("serves the newest checkpoint that it cosigned, with the signatures that count and no others", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    const newest = (origin: string, method = "GET"): Promise<Answered> =>
      world.post(`/${hash("sha256", origin, "hex")}/checkpoint`, "", {}, method);
    assert.equal((await newest(log.origin)).status, 404);
    grow(log, 3);
    const note = log.note();
    const stranger = ed25519Signer("x", generateKeyPairSync("ed25519").privateKey);
    // Whoever reaches the port can hand in a genuine checkpoint with lines of his own.
    const padded = signNote(
      encodeCheckpoint({ origin: log.origin, size: 3, root: log.root() }),
      Array.from({ length: 60 }, () => stranger),
    ).replace("\n\n", `\n\n${note.split("\n\n")[1] ?? ""}`);
    const first = await world.submit(padded);
    assert.equal(first.status, 200);
    const answer = await newest(log.origin);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert.equal(answer.body, addSignature(note, first.body));
    // Cosigned again, later and larger.
    world.clock.advance(10_000);
    grow(log, 1);
    const second = await world.submit(log.note(), 3, log.proveGrowth(3));
    assert.equal((await newest(log.origin)).body, addSignature(log.note(), second.body));
    const key = parseVerifierKey(world.keys.witness);
    const { timeSeconds, checkpoint } = verifyCosignature((await newest(log.origin)).body, key);
    assert.deepEqual([timeSeconds, checkpoint.size], [START_SECONDS + 10, 4]);
    // A refused checkpoint does not change the newest one, and neither a restart nor a halt takes it away.
    assert.equal((await world.submit(log.note(2), 2)).status, 409);
    assert.equal((await world.submit(log.note(4, randomBytes(32)), 4)).status, 409);
    assert.equal((await world.alarms("fork")).length, 1);
    await world.stop();
    await world.start();
    assert.equal((await newest(log.origin)).body, addSignature(log.note(), second.body));
    assert.equal((await newest(REGISTRY)).status, 404);
    assert.equal((await newest(log.origin, "POST")).status, 405);
    assert.equal((await world.post("/checkpoint", "", {}, "GET")).status, 404);
    const upper = hash("sha256", log.origin, "hex").toUpperCase();
    assert.equal((await world.post(`/${upper}/checkpoint`, "", {}, "GET")).status, 404);
  });

  it("404: an unknown log", async () => {
    await using world = await MonitorWorld.open();
    const { privateKey } = generateKeyPairSync("ed25519");
    const origin = "example.test/unknown";
    const body = encodeCheckpoint({ origin, size: 0, root: EMPTY_ROOT });
    const note = signNote(body, [ed25519Signer(origin, privateKey)]);
    assert.equal((await world.submit(note)).status, 404);
  });

  it("404 becomes 200 when the registry has named the log a moment ago", async () => {
    await using world = new MonitorWorld();
    const { initialise } = await import("../initialise.ts");
    world.keys = await initialise(`${world.root}/monitor`);
    await world.start();
    const { log } = world.deployment.enterprise;
    grow(log, 1);
    // Nothing was read so far.
    assert.equal((await world.submit(log.note())).status, 503);
    await world.tick();
    assert.equal((await world.submit(log.note())).status, 200);
  });

  it("403: not signed by the log, or signed by its key for another origin", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 1);
    const body = encodeCheckpoint({ origin: log.origin, size: 1, root: log.root() });
    const stranger = ed25519Signer(log.origin, generateKeyPairSync("ed25519").privateKey);
    assert.equal((await world.submit(signNote(body, [stranger]))).status, 403);
    const other = encodeCheckpoint({ origin: REGISTRY, size: 1, root: log.root() });
    assert.equal((await world.submit(signNote(other, [log.signer]))).status, 403);
    await world.tickFor(15);
    assert.deepEqual(await world.alarms("unsigned-batch"), []);
  });

  it("422: a proof that does not verify, is too short, too long, or there for the first checkpoint", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 3);
    const node = randomBytes(32);
    assert.equal((await world.submit(log.note(), 0, [node])).status, 422);
    await world.submit(log.note());
    grow(log, 4);
    const proof = log.proveGrowth(3);
    const bad = [[], proof.slice(1), [...proof, node], [node, ...proof.slice(1)]];
    for (const one of bad) assert.equal((await world.submit(log.note(), 3, one)).status, 422);
    // The checkpoint was genuine: whoever sends broken proofs for it can neither alarm nor halt anything.
    await world.tickFor(15);
    assert.deepEqual(await world.alarms("fork"), []);
    assert.equal((await world.submit(log.note(), 3, proof)).status, 200);
  });

  it("422: a repetition with a proof", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 2);
    await world.submit(log.note());
    assert.equal((await world.submit(log.note(), 2, [randomBytes(32)])).status, 422);
  });

  it("400: everything that is no request", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 2);
    const note = log.note();
    const hashes = Array.from({ length: 64 }, () => `${randomBytes(32).toString("base64")}\n`);
    const bodies = [
      "",
      "\n",
      note,
      `old 3\n\n${note}`,
      `old 02\n\n${note}`,
      `old -1\n\n${note}`,
      `old 9007199254740993\n\n${note}`,
      `old 0\r\n\n${note}`,
      `old 0\n${note}`,
      `old 0\nnot base64\n\n${note}`,
      `old 0\n${hashes.join("")}\n${note}`,
      `old 0\n\n${note.slice(0, -1)}`,
      `old 0\n\n${note.replace("\n2\n", "\n02\n")}`,
    ];
    for (const body of bodies)
      assert.equal((await world.post("/add-checkpoint", body)).status, 400);
    const binary = Buffer.concat([Buffer.from("old 0\n\n"), Buffer.of(0xff, 0xfe)]);
    assert.equal((await world.post("/add-checkpoint", binary)).status, 400);
  });

  it("two requests for one old size: exactly one is cosigned", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 1);
    await world.submit(log.note());
    grow(log, 1);
    const [two, proofTwo] = [log.note(), log.proveGrowth(1)];
    grow(log, 1);
    const answers = await Promise.all([
      world.submit(two, 1, proofTwo),
      world.submit(log.note(), 1, log.proveGrowth(1)),
    ]);
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200, 409]));
  });
});

describe("witness: logs that lie", () => {
  it("THREAT-06: two roots for one size halt the log for good, with both as evidence", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 3);
    await world.submit(log.note());
    const forged = log.note(3, randomBytes(32));
    assert.equal((await world.submit(forged, 3)).status, 409);
    const [alarm] = await world.alarms("fork");
    assert.equal(alarm?.["severity"], "critical");
    const detail = JSON.stringify(alarm?.["detail"]);
    for (const root of [log.root(), Buffer.from(forged.split("\n")[2] ?? "", "base64")])
      assert.ok(detail.includes(root.toString("base64")));
    // Also what it held before is not cosigned again.
    assert.equal((await world.submit(log.note(), 3)).status, 403);
    grow(log, 1);
    assert.equal((await world.submit(log.note(), 3, log.proveGrowth(3))).status, 403);
    // Other logs go on.
    assert.equal((await world.submit(world.ledger.registry.note())).status, 200);
  });

  it("THREAT-38: a signer is told what is held now, in answer to its nonce; of a halted log, that it is halted", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    const key = parseVerifierKey(world.keys.witness);
    const ask = async (): Promise<unknown> => {
      const question = { log: log.origin, nonce: randomBytes(16).toString("base64url") };
      const { note } = await world.ask("signer-enterprise", { op: "witnessed", ...question });
      assert.ok(typeof note === "string");
      const { size, root } = openWitnessed(note, question, key);
      return { size, root };
    };
    assert.deepEqual(await ask(), { size: 0, root: EMPTY_ROOT });
    grow(log, 3);
    await world.submit(log.note());
    assert.deepEqual(await ask(), { size: 3, root: log.root() });
    const asked = { op: "witnessed", log: log.origin };
    for (const nonce of ["", "short", "n".repeat(65), `${"n".repeat(22)}\n`])
      await assert.rejects(world.ask("signer-enterprise", { ...asked, nonce }), {
        code: "ERR_REQUEST_MEMBER",
      });
    await world.submit(log.note(3, randomBytes(32)), 3);
    await assert.rejects(ask(), { code: "ERR_MONITOR_HALTED" });
  });

  it("THREAT-06: a checkpoint that the log does not continue is an alarm within seconds", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 3);
    await world.submit(log.note());
    grow(log, 2);
    await world.tick();
    const other = log.note(5, hashLeaf(randomBytes(65)));
    assert.equal((await world.submit(other, 3, log.proveGrowth(3, 5))).status, 422);
    await world.tick();
    const [alarm] = await world.alarms("fork");
    assert.equal(alarm?.["log"], log.origin);
    assert.equal((await world.submit(log.note(), 3, log.proveGrowth(3))).status, 403);
  });

  it("THREAT-06: a signed checkpoint beyond what the ledger shows is an alarm after a short patience", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 3);
    await world.submit(log.note());
    const hidden = log.note(9, randomBytes(32));
    assert.equal((await world.submit(hidden, 3, [randomBytes(32)])).status, 422);
    await world.tickFor(8);
    assert.deepEqual(await world.alarms("fork"), []);
    await world.tickFor(5);
    assert.equal((await world.alarms("fork")).length, 1);
  });

  it("THREAT-06: a batch without the writer's signature is refused and is an alarm", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 2);
    await world.submit(log.note());
    // The ledger adds an entry of its own: its key signs, the signer's does not.
    grow(log, 1);
    const inserted = log.note(3, log.root(), [log.signer]);
    log.cut(2);
    assert.equal((await world.submit(inserted, 2)).status, 403);
    await world.tickFor(12);
    const [alarm] = await world.alarms("unsigned-batch");
    assert.equal(alarm?.["severity"], "critical");
    assert.equal(alarm["log"], log.origin);
  });

  it("a genuine checkpoint with the writer's line cut off is refused, and no alarm", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 2);
    const cut = log.note(2, log.root(), [log.signer]);
    assert.equal((await world.submit(cut)).status, 403);
    await world.tickFor(15);
    assert.deepEqual(await world.alarms("unsigned-batch"), []);
  });

  it("the ledger shows the monitor another tree than it had cosigned: alarm", async () => {
    await using world = await MonitorWorld.open();
    const { registry } = world.ledger;
    const [size, genuine] = [registry.size, registry.root()];
    // THREAT-06: the registry has no writer, so that its key alone can sign two histories.
    assert.equal((await world.submit(registry.note(size, randomBytes(32)))).status, 200);
    await world.tick();
    assert.equal((await world.alarms("fork")).length, 1);
    assert.equal((await world.submit(registry.note(size, genuine), size)).status, 403);
  });
});

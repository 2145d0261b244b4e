import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { cpSync } from "node:fs";
import { describe, it } from "node:test";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonValue } from "@redoubt/verify/json";
import { issue, START_SECONDS } from "../../testing/deployment.ts";
import { MonitorWorld } from "../../testing/monitor-world.ts";

const ORDERS = "api://orders";
const DAY = 86_400;

function open(): Promise<MonitorWorld> {
  return MonitorWorld.open({}, ({ deployment }) => {
    for (const name of ["a", "b"]) deployment.addReporter(name, `secret of ${name}`);
  });
}

let sessions = 0;

/** One process of a reporter, which says this in its only report. */
async function report(
  world: MonitorWorld,
  reporter: string,
  digests: readonly Buffer[],
  { aud, iat, ...rest }: { aud?: string; iat?: number; counts?: object } = {},
): Promise<number> {
  sessions += 1;
  const session = encodeBase64url(Buffer.alloc(16, sessions));
  const items = digests.map((digest) => ({
    digest: encodeBase64url(digest),
    kid: "k",
    at: START_SECONDS,
    count: 1,
    aud,
    iat,
  }));
  const body = JSON.stringify({ v: 1, session, seq: 1, items, ...rest });
  return (await world.postAs(reporter, "/reports", body)).status;
}

function issueMany(world: MonitorWorld, count: number, realm = "enterprise" as const): Buffer[] {
  return Array.from({ length: count }, () => issue(world.deployment[realm].log));
}

async function deliver(
  world: MonitorWorld,
  digests: readonly Buffer[],
  audiences: readonly object[] = [],
  { seq = 1, caller = "issuer-enterprise" } = {},
): Promise<void> {
  await world.deliver(caller, digests, { seq, audiences });
}

async function coverage(world: MonitorWorld, since = 0): Promise<readonly JsonValue[]> {
  const { items } = await world.ask("operator", { op: "coverage", since, from: 0 });
  assert.ok(Array.isArray(items));
  return items;
}

const all = (issued: number, seen: number): object => ({
  realm: "enterprise",
  audience: null,
  issued,
  seen,
});
const orders = (issued: number, seen: number): object => ({
  ...all(issued, seen),
  audience: ORDERS,
});

describe("coverage of tokens", () => {
  it("counts a token once, however often it is delivered and seen", async () => {
    await using world = await open();
    const digests = issueMany(world, 3);
    await deliver(world, digests, [{ audience: ORDERS, count: 3 }]);
    await deliver(world, digests, [{ audience: ORDERS, count: 3 }]);
    await world.tickFor(3);
    const [first, second] = digests;
    assert.ok(first && second);
    await report(world, "a", [first, first], { aud: ORDERS });
    await report(world, "a", [first], { aud: ORDERS });
    await report(world, "b", [first, second], { aud: ORDERS });
    assert.deepEqual(await coverage(world), [all(3, 2), orders(3, 2)]);
  });

  it("counts neither what is in no log nor what its issuer never had", async () => {
    await using world = await open();
    issueMany(world, 2);
    await deliver(world, [randomBytes(32)]);
    await report(world, "a", [randomBytes(32)]);
    await world.tickFor(50);
    assert.deepEqual(await coverage(world), []);
  });

  it("counts a delivery that comes after its row was written, or before its entry", async () => {
    await using world = await open();
    const late = issueMany(world, 1);
    await world.tickFor(10);
    assert.deepEqual(await coverage(world), []);
    await deliver(world, late);
    await deliver(world, late, [], { seq: 2 });
    await world.tickFor(3);
    assert.deepEqual(await coverage(world), [all(1, 0)]);
    const early = randomBytes(32);
    await deliver(world, [early], [], { seq: 3 });
    issue(world.deployment.enterprise.log, early);
    await world.tickFor(3);
    assert.deepEqual(await coverage(world), [all(2, 0)]);
  });

  it("counts a token that is reported before its log was read", async () => {
    await using world = await open();
    await world.tickFor(10);
    const [digest] = issueMany(world, 1);
    assert.ok(digest);
    await report(world, "a", [digest], { aud: ORDERS });
    assert.deepEqual(await coverage(world), [all(0, 1), orders(0, 1)]);
  });

  it("names an audience only if a tenant may have it: others choose these words", async () => {
    await using world = await open();
    const digests = issueMany(world, 2);
    await deliver(world, digests, [
      { audience: "api://nobody", count: 1 },
      { audience: ORDERS, count: 1 },
    ]);
    await world.tickFor(3);
    await report(world, "a", digests, { aud: "api://nobody" });
    assert.deepEqual(await coverage(world), [all(2, 2), orders(1, 0)]);
  });

  it("a realm's log says whose token it is, not the reporter", async () => {
    await using world = await open();
    const digest = issue(world.deployment.consumer.log);
    await deliver(world, [digest], [], { caller: "issuer-consumer" });
    await world.tickFor(3);
    await report(world, "a", [digest], { aud: ORDERS });
    const consumer = { realm: "consumer", issued: 1, seen: 1 };
    assert.deepEqual(await coverage(world), [
      { ...consumer, audience: null },
      { ...consumer, audience: ORDERS, issued: 0 },
    ]);
  });

  it("a token counts in the hour of its issuance, if that can be", async () => {
    await using world = await open();
    const digests = issueMany(world, 4);
    const now = Math.floor(world.clock.now() / 1000);
    const times = [now - 7200, now + 200, now + 301, now - 30 * DAY];
    for (const [i, iat] of times.entries())
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await report(world, "a", digests.slice(i, i + 1), { iat });
    assert.deepEqual(await coverage(world), [all(0, 4)]);
    assert.deepEqual(await coverage(world, now - 3600), [all(0, 3)]);
  });

  it("survives a crash at any tick without counting twice", async () => {
    await using world = await open();
    const digests = issueMany(world, 5);
    await deliver(world, digests, [{ audience: ORDERS, count: 5 }]);
    await report(world, "a", digests.slice(0, 2), { aud: ORDERS });
    for (let i = 0; i < 4; i += 1) {
      /* oxlint-disable no-await-in-loop -- one crash after the other */
      await world.crash((from, to) =>
        cpSync(`${from}/monitor`, `${to}/monitor`, {
          recursive: true,
          filter: (path) => !path.endsWith("sock"),
        }),
      );
      await world.start();
      await deliver(world, digests, [{ audience: ORDERS, count: 5 }]);
      await report(world, "b", digests.slice(0, 2 + i), { aud: ORDERS });
      await world.tickFor(1);
      /* oxlint-enable no-await-in-loop */
    }
    await world.tickFor(3);
    assert.deepEqual(await coverage(world), [all(5, 5), orders(5, 5)]);
  });

  it("answers in pages", async () => {
    const audiences = Array.from({ length: 150 }, (_, i) => `api://${1000 + i}`);
    await using world = await MonitorWorld.open({}, ({ deployment }) => {
      const { realm, tenant } = deployment.enterprise;
      deployment.say({ type: "tenant", realm, tenant, status: "active", audiences });
    });
    const digests = issueMany(world, 150);
    const counts = audiences.map((audience) => ({ audience, count: 1 }));
    await deliver(world, digests, counts);
    await world.tickFor(3);
    const first = await world.ask("operator", { op: "coverage", since: 0, from: 0 });
    assert.equal(first["next"], 100);
    const rest = await world.ask("operator", { op: "coverage", since: 0, from: 100 });
    assert.ok(Array.isArray(first["items"]) && Array.isArray(rest["items"]));
    assert.equal(rest["next"], null);
    const named = [...first["items"], ...rest["items"]].map(({ audience }) => audience);
    assert.deepEqual(named, [null, ...audiences]);
  });

  it("says of digests that somebody else saw in whose log they are, and whether they were reported", async () => {
    await using world = await open();
    const digests = issueMany(world, 2);
    const [seen, unseen] = digests;
    assert.ok(seen && unseen);
    await world.tickFor(3);
    await report(world, "a", [seen]);
    const asked = [seen, unseen, randomBytes(32)].map(encodeBase64url);
    const { items } = await world.ask("operator", { op: "find", digests: asked });
    assert.deepEqual(items, [
      { realm: "enterprise", seen: true },
      { realm: "enterprise", seen: false },
      { realm: null, seen: false },
    ]);
    await assert.rejects(world.ask("issuer-enterprise", { op: "find", digests: asked }), {
      code: "ERR_MONITOR_OP",
    });
    await assert.rejects(world.ask("operator", { op: "find", digests: ["x"] }), {
      code: "ERR_REQUEST_MEMBER",
    });
  });
});

async function verifications(world: MonitorWorld, since = 0): Promise<unknown> {
  const { items } = await world.ask("operator", { op: "verifications", since, from: 0 });
  return items;
}

describe("what verifiers count", () => {
  const ISSUER = "https://id.example/v2.0";
  const row = { issuer: ISSUER, kind: "at", accepted: 5, refused: { ERR_JWT_EXPIRED: 2 } };
  const counts = (from: number, rows: readonly object[] = [row]): { counts: object } => ({
    counts: { from, sdk: "redoubt-verify/0.1.0", rows },
  });

  it("is added up by reporter, version, issuer, kind and outcome", async () => {
    await using world = await open();
    await report(world, "a", [], counts(START_SECONDS));
    await report(world, "a", [], counts(START_SECONDS + 60));
    const unknown = { kind: "at", accepted: 0, refused: { ERR_JWS_INVALID: 3 } };
    await report(world, "b", [], counts(START_SECONDS, [unknown]));
    const sdk = "redoubt-verify/0.1.0";
    const a = { reporter: "a", sdk, issuer: ISSUER, kind: "at" };
    assert.deepEqual(await verifications(world), [
      { ...a, outcome: null, count: 10 },
      { ...a, outcome: "ERR_JWT_EXPIRED", count: 4 },
      { reporter: "b", sdk, issuer: null, kind: "at", outcome: "ERR_JWS_INVALID", count: 3 },
    ]);
  });

  it("belongs to the day that the verifier names, if that can be", async () => {
    await using world = await open();
    const now = Math.floor(world.clock.now() / 1000);
    await report(world, "a", [], counts(now - 3 * DAY));
    await report(world, "b", [], counts(now + 7 * DAY));
    const today = await verifications(world, now);
    assert.ok(Array.isArray(today));
    assert.deepEqual(new Set(today.map(({ reporter }) => String(reporter))), new Set(["b"]));
  });

  it("takes a bounded number of rows of one reporter on a day; those that are there go on", async () => {
    await using world = await open();
    for (let i = 0; i < 66; i += 1) {
      const rows = Array.from({ length: 64 }, (_, j) => ({
        ...row,
        issuer: `https://id.example/${i}/${j}`,
        refused: {},
      }));
      // oxlint-disable-next-line no-await-in-loop -- each within the reporter's budget
      assert.equal(await report(world, "a", [], counts(START_SECONDS, rows)), 200);
      // oxlint-disable-next-line no-await-in-loop
      await world.tick();
    }
    const first = { ...row, issuer: "https://id.example/0/0", refused: {} };
    await report(world, "a", [], counts(START_SECONDS, [first]));
    let sum = 0;
    let rows = 0;
    for (let from: JsonValue | undefined = 0; typeof from === "number";) {
      // oxlint-disable-next-line no-await-in-loop -- page by page
      const page = await world.ask("operator", { op: "verifications", since: 0, from });
      assert.ok(Array.isArray(page["items"]));
      rows += page["items"].length;
      for (const { count } of page["items"]) sum += Number(count);
      from = page["next"];
    }
    assert.deepEqual([rows, sum], [4096, 5 * 4096 + 5]);
  });

  it("P12: is charged to the reporter by what it takes to keep", async () => {
    await using world = await open();
    const refused = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`ERR_${i}`, 1]));
    const rows = Array.from({ length: 64 }, () => ({ ...row, accepted: 0, refused }));
    const answers = new Map<number, number>();
    for (let i = 0; i < 17; i += 1) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const status = await report(world, "a", [], counts(START_SECONDS, rows));
      answers.set(status, (answers.get(status) ?? 0) + 1);
    }
    // 6400 counts each, of 100,000 that may come at once.
    assert.deepEqual(
      answers,
      new Map([
        [200, 15],
        [429, 2],
      ]),
    );
    assert.equal(await report(world, "b", [], counts(START_SECONDS)), 200);
  });

  for (const [what, change] of Object.entries({
    "a row that is no object": { rows: [1] },
    "a kind that is none": { rows: [{ ...row, kind: "AT" }] },
    "a code that is none": { rows: [{ ...row, refused: { "<b>": 1 } }] },
    "a count of nothing": { rows: [{ ...row, refused: { ERR_A: 0 } }] },
    "a count that is none": { rows: [{ ...row, refused: { ERR_A: "1" } }] },
    "too many codes": {
      rows: [
        {
          ...row,
          refused: Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`ERR_${i}`, 1])),
        },
      ],
    },
    "too many rows": { rows: Array.from({ length: 65 }, () => row) },
    "another member": { more: 1 },
    "a version with blanks": { sdk: "a b" },
  }))
    it(`refuses ${what}, and stores nothing of the report`, async () => {
      await using world = await open();
      const { counts: good } = counts(START_SECONDS);
      const status = await report(world, "a", [], { counts: { ...good, ...change } });
      assert.equal(status, 400);
      assert.deepEqual(await verifications(world), []);
    });
});

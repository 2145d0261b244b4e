import assert from "node:assert/strict";
import { generateKeyPairSync, hash, randomBytes, verify } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { canonicalBytes } from "@redoubt/base";
import { joseFromDer } from "@redoubt/keys";
import { parseVerifierKey } from "@redoubt/tlog";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { issue, signSomething, type KeyFixture, type Sighted } from "../../testing/deployment.ts";
import { MonitorWorld, type Answered } from "../../testing/monitor-world.ts";

const SESSION = encodeBase64url(Buffer.alloc(16, 1));

function withReporters(...names: string[]): (world: MonitorWorld) => void {
  return ({ deployment }) => {
    for (const name of names) deployment.addReporter(name, `secret of ${name}`);
  };
}

function reportBody(
  digests: readonly Buffer[],
  { seq = 1, kid = "k", session = SESSION }: { seq?: number; kid?: string; session?: string } = {},
): string {
  const items = digests.map((digest) => ({
    digest: encodeBase64url(digest),
    kid,
    at: 5,
    count: 1,
  }));
  return JSON.stringify({ v: 1, session, seq, items });
}

function report(
  world: MonitorWorld,
  reporter: string,
  digests: readonly Buffer[],
  options: { seq?: number; kid?: string; session?: string } = {},
): Promise<Answered> {
  return world.postAs(reporter, "/reports", reportBody(digests, options));
}

function evidence(
  world: MonitorWorld,
  reporter: string,
  { digest, signature, signingInput }: Sighted,
  kid: string,
  withInput = false,
): Promise<Answered> {
  const item = {
    digest: encodeBase64url(digest),
    kid,
    signature: encodeBase64url(signature),
    ...(withInput && { signingInput }),
  };
  const body = JSON.stringify({ v: 1, items: [item] });
  return world.postAs(reporter, "/evidence", body);
}

/** Misses that were settled long ago, as the database of a stopped monitor has them. */
function fillMisses(file: string, reporter: string, count: number): void {
  using db = new DatabaseSync(file);
  const insert = db.prepare("INSERT INTO misses VALUES (?, ?, 'k', 'unproven', 0, 0, ?)");
  db.exec("BEGIN");
  for (let i = 0; i < count; i++) insert.run(reporter, randomBytes(32), i);
  db.exec("COMMIT");
}

function json({ body }: Answered): JsonObject {
  return parseJsonObject(body);
}

async function withKey(
  alg: KeyFixture["alg"] = "ES256",
  ...reporters: string[]
): Promise<[MonitorWorld, KeyFixture]> {
  let key: KeyFixture | undefined;
  const world = await MonitorWorld.open({}, (one) => {
    withReporters(...reporters)(one);
    key = one.deployment.addKey(one.deployment.enterprise, alg);
  });
  assert.ok(key);
  return [world, key];
}

describe("join 1: validated without issued", () => {
  it("waits while a log of its realm cannot be believed, and is decided when it can", async () => {
    const [opened, key] = await withKey("ES256", "api");
    await using world = opened;
    const { log } = world.deployment.enterprise;
    world.ledger.halted.add(log.origin);
    const [digest, foreign] = [issue(log), Buffer.alloc(32, 7)];
    const options = { kid: key.kid };
    const { evidenceWanted } = json(await report(world, "api", [digest, foreign], options));
    assert.deepEqual(evidenceWanted, []);
    await world.tickFor(60);
    assert.deepEqual(await world.alarms("unproven-miss"), []);
    world.ledger.halted.delete(log.origin);
    await world.tickFor(60);
    const alarms = await world.alarms("unproven-miss");
    assert.deepEqual(
      alarms.map(({ digest: named, count }) => [named, count]),
      [[encodeBase64url(foreign), 1]],
    );
  });

  it("waits ten minutes at most: a ledger that hides its log keeps no forgery quiet", async () => {
    const [opened, key] = await withKey("ES256", "api");
    await using world = opened;
    const { log } = world.deployment.enterprise;
    world.ledger.halted.add(log.origin);
    const digest = Buffer.alloc(32, 7);
    await report(world, "api", [digest], { kid: key.kid });
    await world.tickFor(590);
    assert.deepEqual(await world.alarms("unjudged-miss"), []);
    await world.tickFor(30);
    const [alarm] = await world.alarms("unjudged-miss");
    assert.deepEqual(
      [alarm?.["severity"], alarm?.["digest"]],
      ["critical", encodeBase64url(digest)],
    );
  });

  it("another realm's log that cannot be believed mutes nothing", async () => {
    const [opened, key] = await withKey("ES256", "api");
    await using world = opened;
    const { log } = world.deployment.consumer;
    world.ledger.halted.add(log.origin);
    await world.tick();
    const token = await signSomething(key);
    await report(world, "api", [token.digest], { kid: key.kid });
    await evidence(world, "api", token, key.kid);
    assert.equal((await world.alarms("forged")).length, 1);
  });

  it("is none any more where its entry was read before the evidence came", async () => {
    await using world = await MonitorWorld.open({}, withReporters("api"));
    const digest = Buffer.alloc(32, 7);
    const { evidenceWanted } = json(await report(world, "api", [digest]));
    assert.deepEqual(evidenceWanted, [encodeBase64url(digest)]);
    issue(world.deployment.enterprise.log, digest);
    await world.tickFor(60);
    assert.deepEqual(await world.alarms("unproven-miss"), []);
  });

  it("acknowledges what was issued, signed by the acknowledgement key over the very bytes", async () => {
    await using world = await MonitorWorld.open({}, withReporters("shop"));
    const digests = [issue(world.deployment.enterprise.log), issue(world.deployment.consumer.log)];
    const body = reportBody(digests, { seq: 7 });
    const answer = await world.postAs("shop", "/reports", body);
    assert.equal(answer.status, 200);
    const { ack, sig, evidenceWanted } = json(answer);
    assert.deepEqual(evidenceWanted, []);
    assert.ok(isJsonObject(ack) && typeof sig === "string");
    const { reporter, session, seq, items, sha256 } = ack;
    assert.deepEqual(
      [reporter, session, seq, items, sha256],
      ["shop", SESSION, 7, 2, hash("sha256", body, "base64url")],
    );
    const signed = Buffer.concat([Buffer.from("redoubt/ack/v1\n"), canonicalBytes(ack)]);
    const { publicKey } = parseVerifierKey(world.keys.ack);
    assert.equal(verify(null, signed, publicKey, decodeBase64url(sig)), true);
    await world.tickFor(40);
    assert.deepEqual(await world.alarms("unproven-miss"), []);
  });

  for (const alg of ["ES256", "RS256", "PS256", "Ed25519"] as const)
    it(`THREAT-03: a token signed by the stolen ${alg} key behind the signer's back is forged`, async () => {
      const [opened, key] = await withKey(alg, "shop");
      await using world = opened;
      const token = await signSomething(key);
      const answer = json(await report(world, "shop", [token.digest], { kid: key.kid }));
      assert.deepEqual(answer["evidenceWanted"], [encodeBase64url(token.digest)]);
      const taken = await evidence(world, "shop", token, key.kid, alg === "Ed25519");
      assert.deepEqual(json(taken), { taken: 1, evidenceWanted: [] });
      const [alarm] = await world.alarms("forged");
      assert.equal(alarm?.["severity"], "critical");
      assert.equal(alarm["digest"], encodeBase64url(token.digest));
      assert.equal(alarm["reporter"], "shop");
      assert.deepEqual(alarm["detail"], {
        kid: key.kid,
        realm: "enterprise",
        via: "registered-key",
      });
      // Read back by digest, as a drill does.
      const found = await world.ask("operator", {
        op: "alarms",
        digest: encodeBase64url(token.digest),
        limit: 10,
      });
      assert.ok(Array.isArray(found["alarms"]));
      assert.deepEqual(
        found["alarms"].map(({ kind }) => kind),
        ["forged"],
      );
    });

  it("evidence that does not verify is a bad report, charged to the reporter", async () => {
    const [opened, key] = await withKey("ES256", "shop");
    await using world = opened;
    const token = await signSomething(key);
    const stranger = { ...key, ...generateKeyPairSync("ec", { namedCurve: "P-256" }) };
    const forged = await signSomething(stranger);
    await report(world, "shop", [token.digest, forged.digest], { kid: key.kid });
    await evidence(world, "shop", { ...token, signature: Buffer.alloc(64) }, key.kid);
    await evidence(world, "shop", forged, key.kid);
    const [alarm] = await world.alarms("bad-report");
    assert.deepEqual(
      [alarm?.["severity"], alarm?.["reporter"], alarm?.["count"]],
      ["warning", "shop", 2],
    );
    assert.deepEqual(await world.alarms("forged"), []);
    // Right evidence still counts after wrong evidence.
    await evidence(world, "shop", token, key.kid);
    assert.equal((await world.alarms("forged")).length, 1);
  });

  it("no evidence within 30 s is a warning; evidence after that still counts", async () => {
    const [opened, key] = await withKey("ES256", "shop");
    await using world = opened;
    const token = await signSomething(key);
    await report(world, "shop", [token.digest], { kid: key.kid });
    await world.tickFor(29);
    assert.deepEqual(await world.alarms("unproven-miss"), []);
    await world.tickFor(2);
    const [alarm] = await world.alarms("unproven-miss");
    assert.deepEqual(
      [alarm?.["severity"], alarm?.["digest"]],
      ["warning", encodeBase64url(token.digest)],
    );
    const next = json(await report(world, "shop", [], { seq: 2 }));
    assert.deepEqual(next["evidenceWanted"], [encodeBase64url(token.digest)]);
    await evidence(world, "shop", token, key.kid);
    assert.equal((await world.alarms("forged")).length, 1);
  });

  it("decides only against logs read after the report came: no alarm while the monitor lags", async () => {
    const [opened, key] = await withKey("ES256", "shop");
    await using world = opened;
    world.ledger.isDown = true;
    const token = await signSomething(key);
    issue(world.deployment.enterprise.log, token.digest);
    const answer = json(await report(world, "shop", [token.digest], { kid: key.kid }));
    assert.deepEqual(answer["evidenceWanted"], []);
    // It was issued: evidence proves nothing before the log was read.
    assert.deepEqual(json(await evidence(world, "shop", token, key.kid))["taken"], 0);
    await world.tickFor(20);
    world.ledger.isDown = false;
    await world.tickFor(40);
    const kinds = (await world.alarms()).map(({ kind }) => kind);
    assert.equal(kinds.includes("forged"), false);
    assert.equal(kinds.includes("unproven-miss"), false);
  });

  it("THREAT-03: after an outage of the ledger a forgery is an alarm as soon as the logs are read", async () => {
    const [opened, key] = await withKey("ES256", "shop");
    await using world = opened;
    const token = await signSomething(key);
    world.ledger.isDown = true;
    await report(world, "shop", [token.digest], { kid: key.kid });
    await world.tickFor(100);
    world.ledger.isDown = false;
    await world.tick();
    const answer = json(await report(world, "shop", [], { seq: 2 }));
    assert.deepEqual(answer["evidenceWanted"], [encodeBase64url(token.digest)]);
    await evidence(world, "shop", token, key.kid);
    assert.equal((await world.alarms("forged")).length, 1);
  });

  it("a digest that the registry log holds, or nothing, is not issued", async () => {
    const [opened, key] = await withKey("ES256", "shop");
    await using world = opened;
    const [entry] = world.ledger.registry.entries;
    assert.ok(entry);
    const answer = json(await report(world, "shop", [entry.subarray(1, 33)], { kid: key.kid }));
    assert.equal(Array.isArray(answer["evidenceWanted"]) && answer["evidenceWanted"].length, 1);
  });

  it("survives a restart between report and evidence", async () => {
    const [opened, key] = await withKey("ES256", "shop");
    await using world = opened;
    const token = await signSomething(key);
    await report(world, "shop", [token.digest], { kid: key.kid });
    await world.stop();
    await world.start();
    await world.tick();
    await evidence(world, "shop", token, key.kid);
    assert.equal((await world.alarms("forged")).length, 1);
  });
});

describe("THREAT-31: hostile reporters", () => {
  it("flood: charged to the reporter, bounded, and a true miss of another is an alarm at once", async () => {
    const [opened, key] = await withKey("ES256", "hostile", "shop");
    await using world = opened;
    const statuses: number[] = [];
    const codes: unknown[] = [];
    for (let seq = 1; seq <= 70; seq++) {
      const digests = Array.from({ length: 300 }, () => randomBytes(32));
      const answer = await report(world, "hostile", digests, { seq });
      statuses.push(answer.status);
      codes.push(json(answer)["code"]);
    }
    assert.equal(statuses[0], 200);
    assert.equal(statuses.at(-1), 429);
    assert.ok(statuses.filter((status) => status === 200).length <= 3);
    // It is refused first for its open misses, and in the end for the number of its requests.
    assert.deepEqual([codes[3], codes.at(-1)], ["ERR_MONITOR_MISSES", "ERR_MONITOR_BUDGET"]);
    const token = await signSomething(key);
    await report(world, "shop", [token.digest], { kid: key.kid });
    await evidence(world, "shop", token, key.kid);
    const [alarm] = await world.alarms("forged");
    assert.equal(alarm?.["reporter"], "shop");
    const { reporters } = await world.ask("operator", { op: "status" });
    assert.ok(Array.isArray(reporters));
    const misses = Object.fromEntries(
      reporters.map(({ reporter, openMisses }) => [reporter, openMisses]),
    );
    assert.ok(misses["hostile"] <= 1000);
    await world.tickFor(31);
    const unproven = await world.alarms("unproven-miss");
    assert.deepEqual(
      unproven.map(({ reporter }) => reporter),
      ["hostile"],
    );
  });

  it("pre-report: what one reporter said of a digest does not mute another", async () => {
    const [opened, key] = await withKey("ES256", "hostile", "shop");
    await using world = opened;
    const token = await signSomething(key);
    await report(world, "hostile", [token.digest], { kid: key.kid });
    const garbage = { ...token, signature: randomBytes(64) };
    for (let i = 0; i < 5; i++) await evidence(world, "hostile", garbage, key.kid);
    await world.tickFor(40);
    await report(world, "shop", [token.digest], { kid: key.kid });
    await evidence(world, "shop", token, key.kid);
    const [alarm] = await world.alarms("forged");
    assert.equal(alarm?.["reporter"], "shop");
    // Three tries with one digest; the rest costs nothing.
    assert.equal((await world.alarms("bad-report"))[0]?.["count"], 3);
  });

  it("pre-report of a digest that is issued later: nothing remains of it", async () => {
    const [opened, key] = await withKey("ES256", "hostile");
    await using world = opened;
    const token = await signSomething(key);
    await report(world, "hostile", [token.digest], { kid: key.kid });
    issue(world.deployment.enterprise.log, token.digest);
    await world.tick();
    await evidence(world, "hostile", token, key.kid);
    assert.deepEqual(await world.alarms("forged"), []);
  });

  it("replay: the stored answer for the same bytes, 409 for others, and nothing counted twice", async () => {
    await using world = await MonitorWorld.open({}, withReporters("shop", "other"));
    const digest = randomBytes(32);
    const first = await report(world, "shop", [digest], { seq: 5 });
    const again = await report(world, "shop", [digest], { seq: 5 });
    assert.deepEqual(json(again)["ack"], json(first)["ack"]);
    const other = await report(world, "shop", [randomBytes(32)], { seq: 5 });
    assert.deepEqual([other.status, json(other)["code"]], [409, "ERR_MONITOR_SEQUENCE"]);
    assert.equal((await report(world, "shop", [digest], { seq: 4 })).status, 409);
    assert.equal((await report(world, "other", [], { seq: 4 })).status, 200);
    assert.equal((await report(world, "shop", [], { seq: 6 })).status, 200);
    await world.tickFor(31);
    assert.equal((await world.alarms("unproven-miss"))[0]?.["count"], 1);
  });

  it("a closed incident does not suppress the next hit, and closes only by its digest", async () => {
    const [opened, key] = await withKey("ES256", "shop");
    await using world = opened;
    const token = await signSomething(key);
    await report(world, "shop", [token.digest], { kid: key.kid });
    await evidence(world, "shop", token, key.kid);
    const [alarm] = await world.alarms("forged");
    const close = { op: "close", alarm: alarm?.["id"], reason: "handled" };
    const other = encodeBase64url(randomBytes(32));
    for (const wrong of [{}, { digest: other }])
      await assert.rejects(world.ask("operator", { ...close, ...wrong }), {
        code: "ERR_MONITOR_ALARM",
      });
    const digest = encodeBase64url(token.digest);
    assert.deepEqual(await world.ask("operator", { ...close, digest }), { presence: "none" });
    await report(world, "shop", [token.digest], { kid: key.kid, seq: 2 });
    const alarms = await world.alarms("forged");
    assert.deepEqual(
      alarms.map(({ closed }) => closed),
      ["handled", undefined],
    );
  });

  for (const [state, signature] of [
    ["bad", randomBytes(64)],
    ["unjudged", randomBytes(2000)],
  ] as const)
    it(`misses that evidence settles as ${state} are bounded like those without evidence`, async () => {
      const [opened, key] = await withKey("ES256", "hostile");
      await using world = opened;
      const file = join(world.root, "monitor", "monitor.db");
      await world.stop();
      fillMisses(file, "hostile", 10_000);
      await world.start();
      await world.tick();
      const token = await signSomething(key);
      await report(world, "hostile", [token.digest], { kid: key.kid });
      await evidence(world, "hostile", { ...token, signature }, key.kid);
      await world.stop();
      using db = new DatabaseSync(file);
      const states = db.prepare(
        "SELECT state, count(*) AS n FROM misses GROUP BY state ORDER BY n",
      );
      const counts = states.all().map(({ state: found, n }) => [found, n]);
      const kept = [
        [state, 1],
        ["unproven", 9999],
      ];
      assert.deepEqual(counts, kept);
    });

  it("evidence that nobody asked for is not looked at", async () => {
    const [opened, key] = await withKey("ES256", "shop");
    await using world = opened;
    const token = await signSomething(key);
    assert.deepEqual(json(await evidence(world, "shop", token, key.kid)), {
      taken: 0,
      evidenceWanted: [],
    });
    assert.deepEqual(await world.alarms(), []);
  });

  it("a malformed item is refused for itself, and its digest is looked for if it can be read", async () => {
    await using world = await MonitorWorld.open({}, withReporters("shop"));
    const item = { digest: encodeBase64url(randomBytes(32)), kid: "k", at: 1, count: 1 };
    const odd = encodeBase64url(randomBytes(32));
    const items = [
      7,
      { ...item, digest: "AA" },
      item,
      { ...item, digest: `${item.digest.slice(0, 42)}B` },
      { ...item, digest: odd, count: 0 },
      { ...item, digest: odd, extra: 1 },
      { digest: odd },
    ];
    const body = JSON.stringify({ v: 1, session: SESSION, seq: 1, items });
    const first = json(await world.postAs("shop", "/reports", body));
    const { ack, refused, evidenceWanted } = first;
    assert.ok(isJsonObject(ack) && Array.isArray(refused) && Array.isArray(evidenceWanted));
    assert.equal(ack["items"], 1);
    assert.deepEqual(
      refused.map(({ index, digest }) => [index, digest]),
      [0, 1, 3, 4, 5, 6].map((index) => [index, index > 3 ? odd : undefined]),
    );
    for (const { code } of refused) assert.match(code, /^ERR_/);
    assert.deepEqual(new Set(evidenceWanted), new Set([item.digest, odd]));
    const [alarm] = await world.alarms("bad-report");
    assert.deepEqual([alarm?.["reporter"], alarm?.["count"]], ["shop", 6]);
    // The stored answer is the same one, and nothing is counted twice.
    assert.deepEqual(json(await world.postAs("shop", "/reports", body)), first);
    assert.equal((await world.alarms("bad-report"))[0]?.["count"], 6);
  });

  it("malformed reports and evidence are refused with a code", async () => {
    await using world = await MonitorWorld.open({}, withReporters("shop"));
    const good = { v: 1, session: SESSION, seq: 1, items: [] };
    const item = { digest: encodeBase64url(Buffer.alloc(32)), kid: "k", at: 1, count: 1 };
    const bodies = [
      "",
      "[]",
      "{",
      JSON.stringify({ ...good, v: 2 }),
      JSON.stringify({ ...good, extra: 1 }),
      JSON.stringify({ ...good, session: "short" }),
      JSON.stringify({ ...good, seq: -1 }),
      JSON.stringify({ ...good, items: {} }),
      JSON.stringify({ ...good, items: Array.from({ length: 1001 }, () => item) }),
      `{"v":1,"v":1,"session":"${SESSION}","seq":1,"items":[]}`,
    ];
    for (const body of bodies)
      for (const path of ["/reports", "/evidence"]) {
        const answer = await world.postAs("shop", path, body);
        assert.equal(answer.status, 400, body);
        assert.match(answer.body, /"code":"ERR_/);
      }
    assert.equal((await world.postAs("shop", "/reports", "x".repeat(300_000))).status, 413);
  });
});

describe("ES256 signatures in both encodings", () => {
  it("takes the JOSE form only", async () => {
    const [opened, key] = await withKey("ES256", "shop");
    await using world = opened;
    const { sign } = await import("node:crypto");
    const signingInput = "a.b";
    const der = sign("sha256", Buffer.from(signingInput), key.privateKey);
    const digest = hash("sha256", signingInput, "buffer");
    await report(world, "shop", [digest], { kid: key.kid });
    await evidence(world, "shop", { digest, signingInput, signature: der }, key.kid);
    assert.deepEqual(await world.alarms("forged"), []);
    const jose = { digest, signingInput, signature: joseFromDer(der) };
    await evidence(world, "shop", jose, key.kid);
    assert.equal((await world.alarms("forged")).length, 1);
  });
});

import assert from "node:assert/strict";
import { hash, randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import {
  createReportQueue,
  REPORT_LIMITS,
  type ReportAlarm,
  type ReportQueue,
  type Sighting,
} from "@redoubt/verify";
import { encodeBase64url } from "@redoubt/verify/base64url";
import {
  issue,
  secretOf,
  signSomething,
  type KeyFixture,
  type Sighted,
} from "../../testing/deployment.ts";
import { MonitorWorld } from "../../testing/monitor-world.ts";
import { signerFor } from "@redoubt/keys";

interface Scene extends AsyncDisposable {
  readonly world: MonitorWorld;
  readonly key: KeyFixture;
  readonly queue: ReportQueue;
  readonly alarms: ReportAlarm[];
}

/** The verifier's own queue against the monitor's own routes. */
async function open(alg: KeyFixture["alg"]): Promise<Scene> {
  let key: KeyFixture | undefined;
  const world = await MonitorWorld.open({}, ({ deployment }) => {
    deployment.addReporter("shop", "secret of shop");
    key = deployment.addKey(deployment.enterprise, alg);
  });
  assert.ok(key);
  const { queue, alarms } = queueTo(world);
  return {
    world,
    key,
    queue,
    alarms,
    [Symbol.asyncDispose]: async () => {
      await queue.close();
      await world[Symbol.asyncDispose]();
    },
  };
}

function queueTo(world: MonitorWorld): Pick<Scene, "queue" | "alarms"> {
  const alarms: ReportAlarm[] = [];
  const queue = createReportQueue({
    url: `http://127.0.0.1:${world.monitor.port}`,
    reporter: "shop",
    secret: secretOf("secret of shop"),
    ackKey: world.keys.ack,
    onAlarm: (alarm) => alarms.push(alarm),
    now: () => world.clock.now(),
    schedule: () => () => undefined,
  });
  return { queue, alarms };
}

async function passMinutes(world: MonitorWorld, minutes: number): Promise<void> {
  for (let i = 0; i < minutes * 30; i++) await world.tick(2000);
}

function sightingOf(token: Sighted, { kid, alg }: KeyFixture): Sighting {
  assert.ok(alg === "ES256" || alg === "Ed25519");
  return {
    digest: encodeBase64url(token.digest),
    kid,
    alg,
    signature: encodeBase64url(token.signature),
    ...(alg === "Ed25519" && { signingInput: token.signingInput }),
  };
}

async function signLong(key: KeyFixture, chars: number): Promise<Sighted> {
  const signingInput = `e30.${"A".repeat(chars - 4)}`;
  const bytes = Buffer.from(signingInput, "utf8");
  const signature = await signerFor(key.alg, key.privateKey, key.publicKey)(bytes);
  return { digest: hash("sha256", bytes, "buffer"), signingInput, signature };
}

describe("P4: a verifier that ends says goodbye", () => {
  it("with what waits: the monitor judges it, and is not waiting for the verifier any more", async () => {
    await using scene = await open("ES256");
    const { world, queue, alarms } = scene;
    queue.add({
      digest: encodeBase64url(issue(world.deployment.enterprise.log)),
      kid: "k",
      alg: "ES256",
      signature: "c2ln",
    });
    await queue.close();
    assert.deepEqual([queue.status().acknowledged, alarms], [1, []]);
    await passMinutes(world, 60);
    assert.deepEqual(await world.alarms("reporter-silent"), []);
  });

  it("one that was killed is missed; one that ends beside it does not excuse it", async () => {
    await using scene = await open("ES256");
    const { world, queue } = scene;
    await queue.flush();
    const { queue: other } = queueTo(world);
    await other.flush();
    await other.close();
    await passMinutes(world, 15.1);
    assert.equal((await world.alarms("reporter-silent")).length, 1);
    await queue.close();
    await world.tick();
    const alarms = await world.alarms("reporter-silent");
    assert.deepEqual(
      alarms.map(({ closed }) => closed),
      ["recovered"],
    );
  });

  it("one that had nothing to say is never heard of", async () => {
    await using scene = await open("ES256");
    await scene.queue.close();
    assert.equal(scene.world.monitor.status()["neverReported"], 1);
  });
});

describe("THREAT-03, THREAT-31: one item that cannot be judged harms no other", () => {
  it("a kid that is too long: the others are judged, and it is critical itself", async () => {
    await using scene = await open("ES256");
    const { world, key, queue } = scene;
    const [before, odd, after] = [
      await signSomething(key),
      await signSomething(key),
      await signSomething(key),
    ];
    const issued = issue(world.deployment.enterprise.log);
    queue.add(sightingOf(before, key));
    queue.add({ ...sightingOf(odd, key), kid: "k".repeat(300) });
    queue.add({ ...sightingOf(after, key), digest: encodeBase64url(issued), kid: "k".repeat(300) });
    queue.add(sightingOf(after, key));
    await queue.flush();
    assert.equal(queue.status().pending, 0);
    const forged = await world.alarms("forged");
    assert.deepEqual(
      new Set(forged.map(({ digest }) => digest)),
      new Set([encodeBase64url(before.digest), encodeBase64url(after.digest)]),
    );
    const [unjudged, ...more] = await world.alarms("unjudged-miss");
    assert.deepEqual(more, []);
    assert.deepEqual(
      [unjudged?.["severity"], unjudged?.["digest"], unjudged?.["reporter"]],
      ["critical", encodeBase64url(odd.digest), "shop"],
    );
    const bad = await world.alarms("bad-report");
    assert.deepEqual(
      bad.map(({ severity, reporter, count }) => [severity, reporter, count]),
      [["warning", "shop", 3]],
    );
    // Two of the report, one of the evidence.
    const { acknowledged, refused } = queue.status();
    assert.deepEqual([acknowledged, refused], [2, 3]);
    assert.ok(scene.alarms.every(({ kind }) => kind === "reportItemRefused"));
    assert.ok(scene.alarms.length > 0);
  });

  it("a token of the greatest length that a reporting verifier takes is judged", async () => {
    await using scene = await open("Ed25519");
    const { world, key, queue } = scene;
    const long = await signLong(key, REPORT_LIMITS.signingInputChars);
    const others = [await signSomething(key), await signLong(key, 40_000)];
    for (const token of [long, ...others]) queue.add(sightingOf(token, key));
    await queue.flush();
    await queue.flush();
    assert.deepEqual(
      new Set((await world.alarms("forged")).map(({ digest }) => digest)),
      new Set([long, ...others].map(({ digest }) => encodeBase64url(digest))),
    );
    assert.deepEqual(scene.alarms, []);
  });

  it("evidence over every limit: critical with its digest, and asked for no more", async () => {
    await using scene = await open("Ed25519");
    const { world, key, queue } = scene;
    const tooLong = await signLong(key, REPORT_LIMITS.signingInputChars + 1);
    const giant = await signLong(key, REPORT_LIMITS.bodyBytes + 1);
    const good = await signSomething(key);
    for (const token of [tooLong, giant, good]) queue.add(sightingOf(token, key));
    for (let i = 0; i < 4; i++) await queue.flush();
    assert.deepEqual(
      (await world.alarms("forged")).map(({ digest }) => digest),
      [encodeBase64url(good.digest)],
    );
    // The evidence that is too long for any body came without its signing input.
    const [alarm] = await world.alarms("unjudged-miss");
    assert.ok(Array.isArray(alarm?.["digests"]));
    assert.deepEqual(
      new Set(alarm["digests"]),
      new Set([tooLong, giant].map(({ digest }) => encodeBase64url(digest))),
    );
    assert.deepEqual([alarm["severity"], alarm["count"]], ["critical", 2]);
    assert.equal(queue.status().refused, 1);
    await world.tickFor(31);
    assert.deepEqual(await world.alarms("unproven-miss"), []);
  });

  it("an unjudged miss that is reported again after it was closed is an alarm again", async () => {
    await using scene = await open("ES256");
    const { world, queue, key } = scene;
    const odd = {
      ...sightingOf(await signSomething(key), key),
      kid: "k".repeat(300),
      expiresAt: 1,
    };
    queue.add(odd);
    await queue.flush();
    const [{ id } = {}] = await world.alarms("unjudged-miss");
    await world.ask("operator", { op: "close", alarm: id, digest: odd.digest, reason: "seen" });
    queue.add(odd);
    await queue.flush();
    assert.equal((await world.alarms("unjudged-miss")).length, 2);
  });

  it("a full batch of the longest kids in any script stays within one body", async () => {
    await using scene = await open("ES256");
    const { world, queue } = scene;
    for (let i = 0; i < 1000; i++)
      queue.add({
        digest: encodeBase64url(issue(world.deployment.enterprise.log, randomBytes(32))),
        kid: "鍵".repeat(256),
        alg: "ES256",
        signature: "c2ln",
      });
    await queue.flush();
    assert.deepEqual([queue.status().acknowledged, scene.alarms.length], [1000, 0]);
  });
});

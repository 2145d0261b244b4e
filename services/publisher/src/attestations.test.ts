import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { describe, test } from "node:test";
import { SOFT_POLICY, TestBroker } from "@redoubt/broker/testing/broker";
import { openAttestation, verifyAttestation } from "@redoubt/lease/attestation";
import { until } from "@redoubt/testkit";
import { encodeVerifierKey } from "@redoubt/tlog";
import type { Answer } from "@redoubt/wire";
import { Attestations, type ShownGrant } from "./attestations.ts";
import type { PublisherOptions } from "./context.ts";
import { CONSUMER_TENANT, Deployment, TENANT } from "./testing/deployment.ts";
import { TestGrants } from "./testing/grants.ts";
import { System } from "./testing/system.ts";

const ENTERPRISE = `/${TENANT}/v2.0`;
const CONSUMER = "/consumer/v2.0";
const RESTED_SECONDS = 30;

interface Leased extends AsyncDisposable {
  readonly system: System;
  readonly deployment: Deployment;
  readonly grants: TestGrants;
  /** Of the enterprise realm. */
  readonly kid: string;
}

/** A system with a broker for both realms, and one key. */
async function leased(
  prepare: (kid: string, grants: TestGrants) => void,
  options: Partial<PublisherOptions> = {},
  meddle?: System["meddle"],
): Promise<Leased> {
  const deployment = Deployment.standard();
  const kid = deployment.key("enterprise", TENANT);
  const grants = new TestGrants();
  grants.name(deployment);
  prepare(kid, grants);
  const system = new System(deployment, options);
  system.meddle = meddle;
  system.ledger.successors.push(grants.log);
  await system.start();
  await system.publisher.ready;
  return {
    system,
    deployment,
    grants,
    kid,
    [Symbol.asyncDispose]: () => system[Symbol.asyncDispose](),
  };
}

const pathOf = (kid: string) => `/.well-known/attestation/${kid}.json`;

async function shownOf({ system, grants }: Leased, kid: string) {
  const answer = await fetch(system.origin + pathOf(kid));
  const bytes = Buffer.from(await answer.arrayBuffer());
  if (answer.status !== 200) return undefined;
  return openAttestation(bytes, {
    origin: grants.log.origin,
    logKey: grants.log.key,
    writerKey: grants.log.writer ?? assert.fail(),
  });
}

const isShown = async (world: Leased, kid = world.kid) => (await shownOf(world, kid)) !== undefined;

const callsOf = ({ system }: Leased, op: string) =>
  system.ledger.calls.filter((call) => call.op === op && call.head["log"] !== undefined).length;

/** Whatever is under way has come to its end: the log was asked for its state twice more. */
async function settled(world: Leased): Promise<void> {
  const asked = callsOf(world, "state");
  await until(() => callsOf(world, "state") >= asked + 2);
}

test("P5: what is served beside a key is what its signer showed, and anybody can verify it", async () => {
  await using broker = await TestBroker.create();
  await broker.start();
  const deployment = Deployment.standard();
  const kid = deployment.key("consumer", CONSUMER_TENANT);
  const { origin: log, key, writer } = broker.grants;
  deployment.state({
    type: "broker",
    log,
    logKey: encodeVerifierKey(key),
    writer: encodeVerifierKey(writer ?? assert.fail()),
    realms: ["consumer"],
  });
  await using system = new System(deployment);
  system.ledger.successors.push(broker.grants);
  await system.start();
  await system.publisher.ready;
  assert.deepEqual(await system.attested(CONSUMER), { [kid]: undefined });
  await using client = broker.connect();
  await broker.agent(client, { kids: () => [kid] }).renew();
  const uri = `https://id.example${pathOf(kid)}`;
  await until(async () => (await system.attested(CONSUMER))[kid] !== undefined);
  assert.deepEqual(await system.attested(CONSUMER), { [kid]: { uri, hardware: "none" } });
  const answer = await fetch(system.origin + pathOf(kid));
  assert.equal(answer.headers.get("content-type"), "application/json");
  assert.equal(answer.headers.get("cache-control"), "public, max-age=300");
  const { lease, claims } = verifyAttestation(
    Buffer.from(await answer.arrayBuffer()),
    { kid, realm: "consumer" },
    {
      log: broker.log,
      policy: JSON.stringify(SOFT_POLICY),
      release: { keys: broker.releaseKeys.map((one) => createPublicKey(one)), threshold: 2 },
      enrolledKeys: new Map([[broker.machine.enrolled.akName, "soft" as const]]),
    },
  );
  assert.deepEqual([lease.hardware, claims["platform"]], [false, "soft"]);
});

describe("which attestation a key has", () => {
  test("the newest grant that names it: at the start, and whenever there is another", async () => {
    await using world = await leased((kid, grants) => {
      grants.grant({ kids: [kid], evidence: "old" });
      grants.grant({ kids: [kid], evidence: "new" });
      grants.grant({ kids: ["x".repeat(43)] });
    });
    const { grants, kid, system } = world;
    await until(() => isShown(world));
    assert.equal((await shownOf(world, kid))?.body.evidence, "new");
    assert.equal(callsOf(world, "batch"), 2, "no more is read than is needed");
    grants.grant({ kids: [kid], evidence: "newest", hardware: true, platform: "snp" });
    await until(async () => (await shownOf(world, kid))?.body.evidence === "newest");
    const uri = `https://id.example${pathOf(kid)}`;
    assert.deepEqual(await system.attested(ENTERPRISE), { [kid]: { uri, hardware: "snp" } });
    await settled(world);
    assert.equal(callsOf(world, "batch"), 3);
    const { attestations } = Object(system.publisher.status());
    assert.equal(attestations, 1);
  });

  test("a key that is published after the grant that names it is looked for", async () => {
    await using world = await leased((kid, grants) => void grants.grant({ kids: [kid] }));
    const { deployment, grants, system } = world;
    const later = deployment.key("enterprise", TENANT, { states: [] });
    system.grew();
    grants.grant({ kids: [later] });
    grants.grant({ kids: [] });
    await until(() => isShown(world));
    await settled(world);
    assert.equal(await isShown(world, later), false, "nobody lists it yet");
    deployment.keyState("enterprise", later, "prepublished");
    system.grew();
    await until(() => isShown(world, later));
    deployment.keyState("enterprise", later, "tainted");
    system.grew();
    await until(async () => !(await isShown(world, later)));
  });

  test("THREAT-14: no grant of another realm, and none of a realm that is not its broker's", async () => {
    const deployment = Deployment.standard();
    const mine = deployment.key("consumer", CONSUMER_TENANT);
    const other = deployment.key("enterprise", TENANT);
    const grants = new TestGrants();
    grants.name(deployment, ["consumer"]);
    grants.grant({ realm: "consumer", kids: [mine, other] });
    grants.grant({ realm: "enterprise", kids: [mine, other] });
    const both = new TestGrants("test.example/broker-of-both");
    both.name(deployment);
    both.grant({ realm: "consumer", kids: [other] });
    await using system = new System(deployment);
    system.ledger.successors.push(grants.log, both.log);
    await system.start();
    await system.publisher.ready;
    await until(async () => (await system.attested(CONSUMER))[mine] !== undefined);
    const states = () => system.ledger.calls.filter(({ op }) => op === "state").length;
    const asked = states();
    await until(() => states() >= asked + 4);
    assert.deepEqual(await system.attested(ENTERPRISE), { [other]: undefined });
    assert.equal((await fetch(system.origin + pathOf(other))).status, 404);
  });

  test("among the newest 256 grants, and no further back", async () => {
    for (const [others, expected] of [
      [255, true],
      [256, false],
    ] as const) {
      await using world = await leased((kid, grants) => {
        grants.grant({ kids: [kid] });
        for (let i = 0; i < others; i += 1) grants.grant({});
      });
      await until(() => callsOf(world, "batch") === 256);
      await settled(world);
      assert.equal(await isShown(world), expected);
      assert.equal(callsOf(world, "batch"), 256);
    }
  });

  test("without a broker nothing is asked for", async () => {
    const deployment = Deployment.standard();
    deployment.key("enterprise", TENANT);
    await using system = await System.open(deployment);
    await until(() => system.ledger.calls.some(({ op }) => op === "wait"));
    const ops = new Set(system.ledger.calls.map(({ op }) => op));
    assert.deepEqual([...ops].toSorted(), ["registry", "wait"]);
  });
});

type Lie = (answer: Answer, world: { readonly grants: TestGrants }) => Answer | Promise<Answer>;

/** Members of an answer changed. */
const says =
  (change: object): Lie =>
  ({ head, ...answer }) => ({ ...answer, head: { ...head, ...change } });

describe("a ledger that lies about grants", () => {
  const LIES: Readonly<Record<string, readonly [op: string, lie: Lie]>> = {
    "another body": [
      "batch",
      ({ head }, { grants }) => ({ head, attachment: bytesOfAnother(grants) }),
    ],
    "no body": ["batch", says({ entriesBytes: 1_000_000 })],
    "a body cut short": [
      "batch",
      ({ head, attachment }) => ({
        head,
        attachment: Buffer.from(attachment ?? []).subarray(0, -1),
      }),
    ],
    "a form that is none": ["batch", says({ more: 1 })],
    "an empty proof": ["prove", says({ proof: [] })],
    "another checkpoint": ["prove", (_, { grants }) => forked(grants)],
    "a checkpoint that the broker did not sign": [
      "prove",
      ({ head }, { grants: { log } }) => ({
        head: { ...head, checkpoint: log.note(2, log.root(2), [log.signer]) },
      }),
    ],
    "a state that nobody signed": ["state", says({ checkpoint: "" })],
    "more entries than there are": ["state", says({ size: 9 })],
  };
  for (const [name, [op, lie]] of Object.entries(LIES))
    test(`THREAT-06: ${name}: no attestation is shown, keys are, and it is tried again`, async () => {
      const grants = new TestGrants();
      grants.grant({});
      const deployment = Deployment.standard();
      const kid = deployment.key("enterprise", TENANT);
      grants.grant({ kids: [kid] });
      grants.name(deployment);
      const system = new System(deployment);
      await using world = Object.assign(system, { system, deployment, grants, kid });
      system.ledger.successors.push(grants.log);
      system.meddle = (call, honest) =>
        call.op === op && call.head["log"] === grants.log.origin
          ? honest().then((answer) => lie(answer, { grants }))
          : undefined;
      await system.start();
      await until(() => system.count("attestations_failed") === 1);
      assert.deepEqual(await system.attested(ENTERPRISE), { [kid]: undefined });
      const late = deployment.key("enterprise", TENANT);
      system.grew();
      await until(async () => (await system.kids(ENTERPRISE))?.includes(late) === true);
      assert.equal(await isShown(world), false);
      system.advance(RESTED_SECONDS);
      system.meddle = undefined;
      await until(() => isShown(world));
      await until(() => system.count("attestations_back") === 1);
      assert.equal(system.count("attestations_failed"), 1);
      assert.equal(system.count("registry_failed"), 0);
    });

  test("THREAT-06: a log that was shortened or rewritten changes nothing of what is shown", async () => {
    await using world = await leased((kid, grants) => {
      grants.grant({ kids: [kid], evidence: "first" });
      grants.grant({ kids: [kid], evidence: "second" });
    });
    const { grants, kid, system } = world;
    await until(() => isShown(world));
    await settled(world);
    grants.log.cut(1);
    await until(() => system.count("attestations_failed") === 1);
    grants.grant({ kids: [kid], evidence: "another history" });
    grants.grant({ kids: [kid] });
    const proofs = system.ledger.calls.filter(({ op }) => op === "proveGrowth").length;
    system.advance(RESTED_SECONDS);
    await until(() => system.ledger.calls.filter(({ op }) => op === "proveGrowth").length > proofs);
    for (let turn = 0; turn < 100; turn += 1) assert.ok(await isShown(world));
    assert.equal((await shownOf(world, kid))?.body.evidence, "second");
    assert.deepEqual(system.events.find(({ name }) => name === "attestations_failed")?.fields, {
      log: "test.example/broker",
      code: "ERR_LOG_SHORT",
    });
  });

  test("THREAT-27: one that never answers holds up no key", async () => {
    const hung = Promise.withResolvers<Answer>();
    await using world = await leased(
      (kid, grants) => void grants.grant({ kids: [kid] }),
      {},
      ({ op }) => (op === "batch" ? hung.promise : undefined),
    );
    const { deployment, system } = world;
    await until(() => callsOf(world, "batch") === 1);
    const late = deployment.key("enterprise", TENANT);
    system.grew();
    await until(async () => (await system.kids(ENTERPRISE))?.includes(late) === true);
    assert.equal(await isShown(world), false);
    await system.stopPublisher();
    assert.equal(system.count("attestations_failed"), 0);
    hung.reject(new Error("over"));
  });

  test("a grant whose body is lost costs itself only, and few of them are asked for", async () => {
    await using world = await leased(
      (kid, grants) => {
        grants.grant({ kids: [kid] });
        for (let i = 0; i < 3; i += 1) grants.grant({});
      },
      {},
      ({ op, head }) =>
        op === "batch" && Number(head["index"]) > 0 ? Promise.resolve({ head: {} }) : undefined,
    );
    const { grants, system } = world;
    await until(() => isShown(world));
    assert.equal(system.count("attestations_failed"), 0);
    const { length } = system.ledger.calls.filter(({ op }) => op === "batch");
    for (let i = 0; i < 9; i += 1) grants.grant({});
    await until(() => system.count("attestations_failed") === 1);
    assert.equal(callsOf(world, "batch"), length + 4);
  });
});

function bytesOfAnother(grants: TestGrants): Uint8Array {
  return grants.log.batchAt(0)?.bytes ?? assert.fail();
}

function forked({ log }: TestGrants): Answer {
  const fork = log.fork(2);
  const checkpoint = fork.note(2, fork.root(2));
  const head = { index: 1, size: 2, leaf: "", proof: [], checkpoint };
  return { head };
}

describe("bounds", () => {
  test("what is served is bounded in bytes; what was granted last stays, and the rest is named", async () => {
    await using world = await leased((kid, grants) => void grants.grant({ kids: [kid] }), {
      attestationBytes: 20_000,
    });
    const { deployment, grants, kid } = world;
    await until(() => isShown(world));
    const big = deployment.key("enterprise", TENANT);
    world.system.grew();
    grants.grant({ kids: [big], evidence: "e".repeat(12_000) });
    await until(() => isShown(world, big));
    assert.equal(world.system.count("attestation_left_out"), 0);
    const bigger = deployment.key("enterprise", TENANT);
    world.system.grew();
    grants.grant({ kids: [bigger], evidence: "e".repeat(16_000) });
    await until(() => isShown(world, bigger));
    const left = world.system.events.filter(({ name }) => name === "attestation_left_out");
    assert.deepEqual(
      left.map(({ fields }) => fields),
      [{ kid }, { kid: big }],
    );
    assert.equal(await isShown(world, kid), false);
  });

  test("of two brokers' grants the later one counts, of one broker's the one with the higher place", () => {
    const kept = new Attestations(() => assert.fail());
    const after = (...grants: ShownGrant[]) => {
      for (const grant of grants) kept.put("kid", grant);
      return kept.get("kid")?.document;
    };
    assert.equal(after(shown("a", 5, 100)), "a 5");
    assert.equal(after(shown("b", 1, 100), shown("b", 2, 99)), "a 5");
    assert.equal(after(shown("b", 1, 101)), "b 1");
    assert.equal(after(shown("b", 0, 500)), "b 1");
    assert.equal(after(shown("b", 2, 90)), "b 2");
    const { changes } = kept;
    kept.retain(new Map([["kid", ""]]));
    assert.deepEqual([kept.size, kept.changes], [1, changes]);
    kept.retain(new Map());
    assert.deepEqual([kept.size, kept.changes], [0, changes + 1]);
  });
});

function shown(log: string, index: number, issued: number): ShownGrant {
  return { document: `${log} ${index}`, hardware: "none", log, index, issued };
}

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { AK_P256, createSoftTpm, extendPcr, quote } from "@redoubt/evidence";
import { bindingMessage, boundData, openGrant, parseLease } from "@redoubt/lease";
import { TpmAttester } from "@redoubt/lease/agent";
import { makeSnp } from "@redoubt/evidence/testing/snp-evidence";
import { changed } from "@redoubt/testkit";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { ask, askForBytes, BROKER, LEDGER, type SocketClient } from "@redoubt/wire";
import { makeMachine, SOFT_POLICY, TestBroker } from "./testing/broker.ts";

async function running(): Promise<TestBroker> {
  const broker = await TestBroker.create();
  await broker.start();
  return broker;
}

/** What the broker said of the last request that it denied. */
function denial({ events }: TestBroker): Readonly<Record<string, unknown>> {
  return events.findLast(({ name }) => name === "lease_denied")?.fields ?? {};
}

const binding = {
  realm: "consumer",
  signer: "signer-consumer",
  encryptionKey: Buffer.alloc(32, 9),
  holderKey: Buffer.alloc(32, 8),
  kids: [],
};

async function evidenceOver(broker: TestBroker, nonce: Buffer, bound = binding): Promise<Buffer> {
  const attester = new TpmAttester({ transport: broker.machine.transport, platform: "soft" });
  return Buffer.from(await attester.evidence(boundData(nonce, bound)));
}

function send(client: SocketClient, nonce: Buffer, evidence: Buffer, bound = binding) {
  return askForBytes(
    client,
    BROKER.grant,
    { nonce, binding: bindingMessage.write(bound) },
    evidence,
  );
}

test("P5: a machine that shows what it is gets a lease, which is in the broker's log", async () => {
  await using broker = await running();
  await using client = broker.connect();
  const agent = broker.agent(client);
  assert.equal(agent.lease?.grant, undefined);
  await agent.renew();
  const { lease, grant } = agent.lease ?? assert.fail();
  const now = broker.clock.seconds;
  assert.deepEqual(
    [lease.realm, lease.platform, lease.hardware, lease.issued, lease.expires, lease.minVersion],
    ["consumer", "soft", false, now, now + 600, 3],
  );
  const { index, digest } = openGrant(grant, broker.log);
  assert.equal(index, 0);
  const [call] = broker.ledger.commits();
  assert.ok(call);
  assert.ok(call.attachment.includes(digest), "the entry");
  // What is kept beside it is all that is needed to appraise it again.
  const bytes = call.attachment.toString("latin1");
  const body: { lease: string; evidence: string; nonce: string } = JSON.parse(
    bytes.slice(bytes.indexOf('{"binding"')),
  );
  assert.deepEqual(parseLease(Buffer.from(body.lease)), lease);
  assert.ok(body.evidence.includes('"platform":"soft"'));
});

test("THREAT-14: a nonce is for one use, one caller and one minute", async () => {
  await using broker = await running();
  await using client = broker.connect();
  await using other = broker.connect("enterprise");
  const refused = { code: "ERR_BROKER_NONCE" };
  const { nonce, validSeconds, time } = await ask(client, BROKER.nonce, {});
  assert.deepEqual([validSeconds, time], [60, broker.clock.seconds]);
  const evidence = await evidenceOver(broker, nonce);
  await assert.rejects(send(other, nonce, evidence), refused);
  await send(client, nonce, evidence);
  await assert.rejects(send(client, nonce, evidence), refused, "replayed");
  await assert.rejects(send(client, randomBytes(32), evidence), refused);
  const late = await ask(client, BROKER.nonce, {});
  broker.clock.forward(60);
  await assert.rejects(send(client, late.nonce, await evidenceOver(broker, late.nonce)), refused);
  // One that failed is used, too.
  const third = await ask(client, BROKER.nonce, {});
  await assert.rejects(send(client, third.nonce, Buffer.from("{}")));
  await assert.rejects(send(client, third.nonce, await evidenceOver(broker, third.nonce)), refused);
  // The oldest of seventeen gave way.
  const many = await Promise.all(Array.from({ length: 17 }, () => ask(client, BROKER.nonce, {})));
  const [oldest, ...rest] = many.map((one) => one.nonce);
  assert.ok(oldest && rest[0]);
  await assert.rejects(send(client, oldest, await evidenceOver(broker, oldest)), refused);
  await send(client, rest[0], await evidenceOver(broker, rest[0]));
});

test("THREAT-26: a caller that asks without end is refused for a while, and the other realm's is not", async () => {
  await using broker = await running();
  await using client = broker.connect();
  await Promise.all(Array.from({ length: 32 }, () => ask(client, BROKER.nonce, {})));
  await assert.rejects(ask(client, BROKER.nonce, {}), {
    code: "ERR_BROKER_BUSY",
    retryAfterSeconds: 2,
  });
  await using other = broker.connect("enterprise");
  await ask(other, BROKER.nonce, {});
  broker.clock.forward(2);
  await broker.agent(client).renew();
});

test("THREAT-14: evidence for another nonce or key, or of a TPM that is not enrolled, is refused", async () => {
  await using broker = await running();
  await using client = broker.connect();
  const bound = { code: "ERR_EVIDENCE_BINDING" };
  const fresh = async () => (await ask(client, BROKER.nonce, {})).nonce;
  const nonce = await fresh();
  await assert.rejects(send(client, nonce, await evidenceOver(broker, await fresh())), bound);
  // Relayed: the genuine machine vouched for its own key, the attacker asks for another.
  const relayed = await fresh();
  const mine = { ...binding, holderKey: Buffer.alloc(32, 7) };
  await assert.rejects(send(client, relayed, await evidenceOver(broker, relayed), mine), bound);
  const stranger = await makeMachine();
  const agent = broker.agent(client, {
    attester: new TpmAttester({ transport: stranger.transport, platform: "soft" }),
  });
  await assert.rejects(agent.renew(), { code: "ERR_EVIDENCE_KEY" });
  assert.equal(denial(broker)["part"], "tpm.akPublic");
  // What calls itself hardware is what enrolment found.
  const liar = broker.agent(client, {
    attester: new TpmAttester({ transport: broker.machine.transport, platform: "tpm2" }),
  });
  await assert.rejects(liar.renew(), { code: "ERR_EVIDENCE_KEY" });
});

test("THREAT-13: an altered image is refused, and the refusal names the claim", async () => {
  await using broker = await running();
  await using client = broker.connect();
  await extendPcr(broker.machine.transport, 11, "sha256", randomBytes(32));
  await assert.rejects(broker.agent(client).renew(), { code: "ERR_EVIDENCE_REFUSED" });
  assert.deepEqual(denial(broker)["refusals"], ["pcrs.11"]);
  assert.equal(broker.ledger.commits().length, 0);
});

test("P5: a realm's lease is for that realm's signer", async () => {
  await using broker = await running();
  await using client = broker.connect("enterprise");
  await assert.rejects(broker.agent(client).renew(), { code: "ERR_BROKER_REALM" });
  await assert.rejects(
    broker.agent(client, { realm: "enterprise", signer: "signer-consumer" }).renew(),
    { code: "ERR_BROKER_REALM" },
  );
  const agent = broker.agent(client, { realm: "enterprise", signer: "signer-enterprise" });
  await agent.renew();
  assert.equal(agent.lease?.lease.realm, "enterprise");
});

test("what cannot be read, is not signed by enough, or has run out guards nothing: nobody passes", async () => {
  await using broker = await running();
  await using client = broker.connect();
  const agent = broker.agent(client);
  const refused = { code: "ERR_BROKER_POLICY" };
  broker.release(3, "00".repeat(32), broker.releaseKeys.slice(1));
  await assert.rejects(agent.renew(), refused, "one signature");
  broker.release(3);
  await agent.renew();
  broker.setPolicy({ ...SOFT_POLICY, version: "2" });
  await assert.rejects(agent.renew(), refused, "policy");
  broker.setPolicy(SOFT_POLICY);
  rmSync(join(broker.folder, "policies", "consumer.json"));
  await assert.rejects(agent.renew(), refused, "no policy");
  broker.setPolicy(SOFT_POLICY);
  broker.clock.forward(86_401);
  await assert.rejects(agent.renew(), refused, "run out");
});

test("THREAT-30: floors only rise, over restarts, too: an older release or evaluation is refused", async () => {
  await using broker = await running();
  {
    await using client = broker.connect();
    broker.release(4);
    await broker.agent(client, { imageVersion: 4 }).renew();
    broker.release(3);
    await assert.rejects(broker.agent(client).renew(), { code: "ERR_BROKER_POLICY" });
  }
  await broker.stop();
  await broker.start();
  await using client = broker.connect();
  await assert.rejects(broker.agent(client).renew(), { code: "ERR_BROKER_POLICY" });
  broker.release(4);
  // The lease says the floor, and a signer from an older image does not take it.
  await assert.rejects(broker.agent(client, { imageVersion: 3 }).renew(), {
    code: "ERR_LEASE_IMAGE",
  });
  await broker.agent(client, { imageVersion: 4 }).renew();
});

test("THREAT-29: a broker whose clock was set back grants nothing; a signer whose clock is off takes nothing", async () => {
  await using broker = await running();
  await using client = broker.connect();
  await broker.agent(client).renew();
  broker.clock.set(-31);
  await assert.rejects(broker.agent(client).renew(), { code: "ERR_BROKER_CLOCK" });
  broker.clock.set(31);
  for (const [off, isTaken] of [
    [30, true],
    [31, false],
    [-30, true],
    [-31, false],
  ] as const) {
    const clock = {
      now: () => broker.clock.now() + off * 1000,
      monotonic: () => broker.clock.monotonic(),
    };
    const agent = broker.agent(client, { clock });
    if (isTaken) await agent.renew();
    else await assert.rejects(agent.renew(), { code: "ERR_LEASE_CLOCK" });
  }
});

test("P5: no lease without its entry: a ledger that fails, forks or forgets gives none", async () => {
  await using broker = await running();
  await using client = broker.connect();
  const agent = broker.agent(client);
  broker.ledger.isDown = true;
  await assert.rejects(agent.renew(), { code: "ERR_BROKER_LOG" });
  broker.ledger.isDown = false;
  await agent.renew();
  // Committed, but the answer is lost: the next one asks where the log stands, and continues it.
  broker.ledger.misbehave = async ({ op }, honest) => {
    const answer = await honest();
    if (op === "commit") throw new Error("answer lost");
    return answer;
  };
  await assert.rejects(agent.renew());
  broker.ledger.misbehave = undefined;
  await agent.renew();
  assert.equal(openGrant(agent.lease?.grant ?? "", broker.log).index, 2);
  broker.ledger.misbehave = async (call, honest) =>
    call.op === "commit" ? changed(honest, { checkpoint: "x" }) : honest();
  await assert.rejects(agent.renew());
  broker.ledger.misbehave = undefined;
  await agent.renew();
  // THREAT-07: a log that is shorter than one that was seen.
  broker.grants.batches.length = 1;
  await broker.stop();
  await broker.start();
  await using again = broker.connect();
  await assert.rejects(broker.agent(again).renew(), { code: "ERR_LOG_SHORT" });
});

function lines(note: string): readonly string[] {
  return note.split("\n").filter((line) => line.startsWith("\u2014"));
}

test("P5: what the ledger answers counts only if both signed exactly the tree that was predicted", async () => {
  await using broker = await running();
  await using client = broker.connect();
  const agent = broker.agent(client);
  const answers = (checkpoint: (honest: string) => string) => {
    broker.ledger.misbehave = async (call, honest) => {
      const answer = await honest();
      if (call.op !== "commit") return answer;
      const { checkpoint: note, ...head } = LEDGER.commit.answer.read(
        JSON.parse(JSON.stringify(answer.head)),
      );
      return { ...answer, head: { ...head, checkpoint: checkpoint(note) } };
    };
  };
  const { grants } = broker;
  let before = "";
  answers((note) => {
    before = note;
    return note;
  });
  await agent.renew();
  for (const [what, other] of [
    ["an older tree that both signed", () => before],
    ["without the writer's line", (note: string) => note.replace(`${lines(note)[1]}\n`, "")],
    ["without the ledger's line", (note: string) => note.replace(`${lines(note)[0]}\n`, "")],
    ["an older tree", () => grants.note(grants.size - 1, grants.root(grants.size - 1))],
    ["another root", () => grants.note(grants.size, Buffer.alloc(32, 1))],
  ] as const) {
    broker.ledger.misbehave = undefined;
    await agent.renew();
    answers(other);
    await assert.rejects(agent.renew(), { code: "ERR_BROKER_LOG" }, what);
  }
});

test("P5: a binding that names another realm than the connection's is refused, whoever signed it", async () => {
  await using broker = await running();
  await using client = broker.connect();
  for (const other of [
    { ...binding, realm: "enterprise" },
    { ...binding, signer: "signer-enterprise" },
  ]) {
    const { nonce } = await ask(client, BROKER.nonce, {});
    const evidence = await evidenceOver(broker, nonce, other);
    await assert.rejects(send(client, nonce, evidence, other), { code: "ERR_BROKER_REALM" });
  }
});

test("reference files are bounded, and what is no JSON file is none", async () => {
  await using broker = await running();
  await using client = broker.connect();
  const folder = join(broker.folder, "references");
  writeFileSync(join(folder, "notes.txt"), "x", { mode: 0o600 });
  const text = readFileSync(join(folder, "signer.json"));
  for (let i = 0; i < 63; i += 1) writeFileSync(join(folder, `${i}.json`), text, { mode: 0o600 });
  await broker.agent(client).renew();
  writeFileSync(join(folder, "63.json"), text, { mode: 0o600 });
  await assert.rejects(broker.agent(client).renew(), {
    code: "ERR_BROKER_POLICY",
    message: /More than 64/,
  });
});

test("a witness that does not answer, and a damaged memory", async () => {
  await using broker = await running();
  await using client = broker.connect();
  await broker.agent(client).renew();
  await broker.stop();
  const state = join(broker.folder, "state.json");
  const text = readFileSync(state, "utf8");
  for (const damaged of [
    "{}",
    text.replace('"v":1', '"v":2'),
    text.slice(1),
    `${text.slice(0, -1)},"x":1}`,
  ]) {
    writeFileSync(state, damaged, { mode: 0o600 });
    await assert.rejects(broker.start(), { code: "ERR_BROKER_STATE" }, damaged);
  }
  writeFileSync(state, text, { mode: 0o600 });
  await broker.start();
  await using again = broker.connect();
  await assert.rejects(again.request({ op: "release" }), { code: "ERR_BROKER_OP" });
  await broker.agent(again).renew();
});

test("THREAT-14: only the machine's own TPM opens the lease", async () => {
  await using broker = await running();
  await using client = broker.connect();
  const thief = createSoftTpm();
  const attester = new TpmAttester({ transport: broker.machine.transport, platform: "soft" });
  const stolen = {
    evidence: (data: Buffer) => attester.evidence(data),
    openCredential: (credential: Parameters<TpmAttester["openCredential"]>[0]) =>
      new TpmAttester({ transport: thief, platform: "soft" }).openCredential(credential),
  };
  await assert.rejects(broker.agent(client, { attester: stolen }).renew(), {
    code: "ERR_TPM_RESPONSE",
  });
  const without = { evidence: (data: Buffer) => attester.evidence(data) };
  await assert.rejects(broker.agent(client, { attester: without }).renew(), {
    code: "ERR_LEASE_SEALED",
  });
});

function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50));
}

test("P5: a machine without a TPM gets a lease that its key alone opens, and what hardware vouches for is said", async () => {
  const { roots } = makeSnp();
  await using broker = await TestBroker.create({}, { roots: { snp: roots } });
  const isSnp = {
    authority: "urn:redoubt:evidence",
    allOf: [{ claim: "platform", equals: "snp" }],
  };
  broker.setPolicy({ version: "1.1.0", anyOf: [isSnp] });
  await broker.start();
  await using client = broker.connect();
  const agent = broker.agent(client, {
    attester: {
      evidence: async (data) => {
        const { evidence } = makeSnp({
          change: (report) => report.set(Buffer.concat([data, Buffer.alloc(32)]), 0x50),
        });
        return JSON.stringify({
          v: 1,
          platform: "snp",
          report: encodeBase64url(evidence.report),
          chain: evidence.chain.map((der) => encodeBase64url(der)),
        });
      },
    },
  });
  await agent.renew();
  assert.deepEqual([agent.lease?.lease.platform, agent.lease?.lease.hardware], ["snp", true]);
});

test("THREAT-16: an agent renews at half life by new evidence, keeps its lease while the broker is away, and gets the next by itself", async () => {
  await using broker = await running();
  await using client = broker.connect();
  const granted: number[] = [];
  const failed: unknown[] = [];
  let hasRead = false;
  const agent = broker.agent(client, {
    hasRead: () => hasRead,
    onGranted: ({ expires }) => void granted.push(expires),
    onFailed: (error) => void failed.push(error),
  });
  await assert.rejects(agent.renew(), { code: "ERR_LEASE_REGISTRY" });
  hasRead = true;
  await agent.renew();
  const [first = 0] = granted;
  broker.clock.forward(299);
  agent.look();
  await settled();
  assert.equal(granted.length, 1);
  broker.clock.forward(1);
  broker.ledger.isDown = true;
  agent.look();
  agent.look();
  await settled();
  assert.deepEqual([granted.length, failed.length], [1, 2]);
  assert.equal(agent.lease?.lease.expires, first);
  broker.clock.forward(299);
  assert.ok(agent.lease);
  broker.clock.forward(1);
  assert.equal(agent.lease, undefined);
  broker.ledger.isDown = false;
  agent.look();
  await settled();
  assert.equal(granted.length, 2);
  assert.ok(agent.lease);
  broker.clock.set(600);
  assert.equal(agent.lease, undefined);
});

test("THREAT-13: a quote over other PCRs than those that are asked for is refused", async () => {
  await using broker = await running();
  await using client = broker.connect();
  const { transport } = broker.machine;
  const agent = broker.agent(client, {
    attester: new TpmAttester({
      transport,
      platform: "soft",
      pcrs: { bank: "sha256", indices: [16] },
    }),
  });
  await assert.rejects(agent.renew(), (error: Error) => "code" in error);
  assert.equal(typeof denial(broker)["code"], "string");
  assert.ok(await quote(transport, AK_P256, { bank: "sha256", indices: [16] }, Buffer.alloc(32)));
});

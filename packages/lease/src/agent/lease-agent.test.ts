import assert from "node:assert/strict";
import { test } from "node:test";
import { BROKER, type Requester, WireError } from "@redoubt/wire";
import { type Binding, bindingMessage } from "../binding.ts";
import { encodeLease, type Lease } from "../lease.ts";
import { seal } from "../sealing.ts";
import { TestGrantLog } from "../testing/test-log.ts";
import { LeaseAgent, type LeaseAgentOptions } from "./lease-agent.ts";

const START_SECONDS = 1_800_000_000;
const NONCE = Buffer.alloc(32, 1);

/** A broker that grants what a test wants, and a machine that vouches for everything. */
class Scene {
  readonly log = new TestGrantLog();
  seconds = START_SECONDS;
  /** What is other in the next leases than what a good broker would say. */
  change: Partial<Lease> = {};
  /** With the answer, beside the sealed lease. */
  answer: { credential?: Buffer; secret?: Buffer } = {};
  sealedWith: Buffer | undefined;
  asked = 0;
  /** Kids of the last binding. */
  kids: readonly string[] = [];
  isAway = false;

  readonly broker: Requester = {
    request: async (request) => {
      const { op, ...head } = JSON.parse(JSON.stringify(request));
      if (this.isAway) throw new WireError("ERR_WIRE_CLOSED", "away");
      if (op === BROKER.nonce.op)
        return reply(
          BROKER.nonce.answer.write({ nonce: NONCE, time: this.seconds, validSeconds: 60 }),
        );
      this.asked += 1;
      const { binding } = BROKER.grant.request.read(head);
      const read = bindingMessage.read(binding);
      this.kids = read.kids;
      return this.#grant(read);
    },
  };

  agent(change: Partial<LeaseAgentOptions> = {}): LeaseAgent {
    return new LeaseAgent({
      broker: this.broker,
      attester: { evidence },
      realm: "consumer",
      signer: "signer-consumer",
      log: this.log,
      imageVersion: 3,
      clock: {
        now: () => this.seconds * 1000,
        monotonic: () => (this.seconds - START_SECONDS) * 1000,
      },
      hasRead: () => true,
      onGranted: () => undefined,
      onFailed: () => undefined,
      ...change,
    });
  }

  #grant({ encryptionKey, holderKey }: Binding) {
    const grant = this.log.grant(
      encodeLease({
        v: 1,
        type: "lease",
        realm: "consumer",
        signer: "signer-consumer",
        holderKey,
        platform: "soft",
        hardware: false,
        issued: this.seconds,
        expires: this.seconds + 600,
        registry: { size: 1, root: Buffer.alloc(32) },
        minVersion: 3,
        evidence: Buffer.alloc(32),
        ...this.change,
      }),
    );
    return reply(
      BROKER.grant.answer.write(this.answer),
      seal(encryptionKey, this.sealedWith, Buffer.from(grant)),
    );
  }
}

function reply(head: object, attachment: Buffer = Buffer.alloc(0)) {
  return { head: JSON.parse(JSON.stringify(head)), attachment };
}

test("a lease that is another's, too old an image's, or of another time is not taken", async () => {
  for (const [change, code] of [
    [{ realm: "enterprise" }, "ERR_LEASE_REALM"],
    [{ signer: "signer-enterprise" }, "ERR_LEASE_REALM"],
    [{ holderKey: Buffer.alloc(32, 9) }, "ERR_LEASE_REALM"],
    [{ minVersion: 4 }, "ERR_LEASE_IMAGE"],
    [{ issued: START_SECONDS - 31 }, "ERR_LEASE_CLOCK"],
    [{ issued: START_SECONDS + 31 }, "ERR_LEASE_CLOCK"],
  ] as const) {
    const scene = new Scene();
    const agent = scene.agent();
    scene.change = change;
    await assert.rejects(agent.renew(), { code }, JSON.stringify(change));
    assert.equal(agent.lease, undefined);
  }
  const scene = new Scene();
  const agent = scene.agent({ hasRead: () => false });
  await assert.rejects(agent.renew(), { code: "ERR_LEASE_REGISTRY" });
  for (const issued of [START_SECONDS - 30, START_SECONDS + 30]) {
    scene.change = { issued };
    const taken = scene.agent();
    await taken.renew();
    assert.equal(taken.lease?.lease.issued, issued);
  }
});

async function evidence(): Promise<string> {
  return "{}";
}

test("THREAT-14: a lease that needs this machine's TPM is opened with what the TPM gives", async () => {
  const scene = new Scene();
  const secret = Buffer.alloc(32, 5);
  scene.sealedWith = secret;
  scene.answer = { credential: Buffer.from("credential"), secret: Buffer.from("encrypted") };
  const opened: object[] = [];
  const openCredential = async (credential: object) => {
    opened.push(credential);
    return secret;
  };
  await scene.agent({ attester: { evidence, openCredential } }).renew();
  assert.deepEqual(opened, [
    { credentialBlob: Buffer.from("credential"), encryptedSecret: Buffer.from("encrypted") },
  ]);
  await assert.rejects(scene.agent({ attester: { evidence } }).renew(), {
    code: "ERR_LEASE_SEALED",
    message: /shows none/,
  });
  for (const half of [
    { credential: Buffer.from("credential") },
    { secret: Buffer.from("encrypted") },
  ]) {
    scene.answer = half;
    await assert.rejects(scene.agent({ attester: { evidence, openCredential } }).renew(), {
      code: "ERR_LEASE_SEALED",
      message: /not sealed to this key/,
    });
  }
});

test("THREAT-16: it asks at half life, not before and not twice, and again soon where that fails", async () => {
  const scene = new Scene();
  const failed: unknown[] = [];
  const agent = scene.agent({ onFailed: (error) => void failed.push(error) });
  const look = async (): Promise<number> => {
    agent.look();
    agent.look();
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    return scene.asked;
  };
  assert.equal(agent.isFirstAwaited, true);
  assert.equal(await look(), 1);
  assert.equal(agent.isFirstAwaited, false);
  const first = agent.lease;
  assert.ok(first);
  scene.seconds += 299;
  assert.equal(await look(), 1);
  scene.seconds += 1;
  assert.equal(await look(), 2);
  assert.notEqual(agent.lease, first);
  scene.isAway = true;
  scene.seconds += 300;
  await look();
  assert.equal(failed.length, 1);
  await look();
  assert.equal(failed.length, 1, "a pause after a failure");
  assert.ok(agent.lease);
  scene.seconds += 1;
  await look();
  assert.equal(failed.length, 2);
  scene.seconds += 299;
  assert.equal(agent.lease, undefined);
  assert.equal(agent.isFirstAwaited, false);
  const other = scene.agent();
  await assert.rejects(other.renew(), { code: "ERR_WIRE_CLOSED" });
  assert.equal(other.isFirstAwaited, false);
});

test("a key that is new is named by evidence at the next look, and keys that stay cost no lease", async () => {
  const scene = new Scene();
  let kids: readonly string[] = [];
  const agent = scene.agent({ kids: () => kids });
  const look = async (): Promise<number> => {
    agent.look();
    await new Promise((resolve) => setTimeout(resolve, 5));
    return scene.asked;
  };
  assert.equal(await look(), 1);
  kids = ["b".repeat(43), "a".repeat(43)];
  assert.equal(await look(), 2);
  assert.deepEqual(scene.kids, ["a".repeat(43), "b".repeat(43)]);
  kids = ["a".repeat(43), "b".repeat(43)];
  assert.equal(await look(), 2, "the same keys in another order");
  scene.isAway = true;
  kids = ["c".repeat(43)];
  await look();
  scene.isAway = false;
  assert.equal(await look(), 2, "a pause after a failure");
  scene.seconds += 1;
  assert.equal(await look(), 3);
  kids = Array.from({ length: 300 }, (_, i) => String(i).padStart(43, "k"));
  await look();
  assert.equal(scene.kids.length, 256);
  assert.equal(await look(), 4);
});

test("a lease that the gateway takes no more is exchanged at the next look, more slowly where each is", async () => {
  const scene = new Scene();
  const agent = scene.agent();
  const look = async (): Promise<number> => {
    agent.look();
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    return scene.asked;
  };
  const giveUp = () => agent.lease && agent.giveUp(agent.lease);
  await look();
  const first = agent.lease;
  assert.ok(first);
  assert.equal(await look(), 1);
  agent.giveUp(first);
  assert.equal(await look(), 2);
  assert.notEqual(agent.lease, first);
  agent.giveUp(first);
  assert.equal(await look(), 2, "that one is gone already");
  for (const pause of [1, 1, 2, 4, 8, 15, 15]) {
    const before = scene.asked;
    giveUp();
    scene.seconds += pause - 1;
    assert.equal(await look(), before, `${pause} s`);
    scene.seconds += 1;
    assert.equal(await look(), before + 1, `${pause} s`);
  }
  scene.seconds += 300;
  const before = scene.asked;
  assert.equal(await look(), before + 1, "one that lasted for half of its life");
  giveUp();
  assert.equal(await look(), before + 2);
});

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Custodian, type CustodyKey, openFileCustodian } from "@redoubt/custody";
import { custodyContract } from "@redoubt/custody/testing";
import { KeyError } from "@redoubt/keys";
import { TestClock, until } from "@redoubt/testkit";
import { ask, askForBytes, CUSTODY, type SocketClient } from "@redoubt/wire";
import { newHolder, TestGateway, type TestLease } from "./testing/gateway.ts";

const INPUT = Buffer.from("header.payload");

const shared = new TestGateway();
await shared.start();
after(() => shared[Symbol.asyncDispose]());
custodyContract(
  "gateway, sealed files behind it",
  async () => {
    const lease = shared.lease();
    return shared.custodian(() => lease);
  },
  ["ES256", "Ed25519"],
);

async function begin(client: SocketClient, { grant, prove }: TestLease): Promise<Buffer> {
  const { challenge } = await ask(client, CUSTODY.challenge, {});
  return (await ask(client, CUSTODY.begin, { challenge, grant, proof: prove(challenge) })).session;
}

async function running(): Promise<TestGateway> {
  const gateway = new TestGateway();
  await gateway.start();
  return gateway;
}

async function madeKey(gateway: TestGateway, lease = gateway.lease()): Promise<CustodyKey> {
  return gateway.custodian(() => lease).generate("Ed25519");
}

test("THREAT-15: the end of a lease ends the session of a signer that goes on regardless", async () => {
  await using gateway = await running();
  await using client = gateway.connect();
  const { id } = await madeKey(gateway);
  const session = await begin(client, gateway.lease());
  const sign = () => askForBytes(client, CUSTODY.sign, { session, id }, INPUT);
  assert.equal((await sign()).attachment.length, 64);
  gateway.clock.forward(599);
  assert.equal((await sign()).attachment.length, 64);
  gateway.clock.forward(1);
  const ended = { code: "ERR_LEASE_SESSION" };
  await assert.rejects(sign(), ended);
  await assert.rejects(ask(client, CUSTODY.list, { session }), ended);
  await assert.rejects(ask(client, CUSTODY.open, { session, id }), ended);
  await assert.rejects(ask(client, CUSTODY.generate, { session, alg: "ES256" }), ended);
  await assert.rejects(ask(client, CUSTODY.destroy, { session, id }), ended);
  await assert.rejects(ask(client, CUSTODY.audit, { session }), ended);
  const made = Buffer.alloc(32, 1);
  await assert.rejects(ask(client, CUSTODY.sign, { session: made, id }), ended);
});

test("THREAT-29: a clock that is set back lengthens no lease, one that is set ahead ends it", async () => {
  await using gateway = await running();
  await using client = gateway.connect();
  const { id } = await madeKey(gateway);
  const session = await begin(client, gateway.lease());
  const sign = () => askForBytes(client, CUSTODY.sign, { session, id }, INPUT);
  gateway.clock.forward(300);
  gateway.clock.set(-20);
  await sign();
  gateway.clock.set(-86_400);
  await assert.rejects(sign(), { code: "ERR_LEASE_CLOCK" });
  gateway.clock.set(86_400 - 280);
  // By this clock 300 s are left of a lease that lasted for 600 s, of which 300 have passed.
  gateway.clock.forward(300);
  await assert.rejects(sign(), { code: "ERR_LEASE_SESSION" });

  const next = await begin(client, gateway.lease());
  gateway.clock.set(86_400);
  await assert.rejects(ask(client, CUSTODY.list, { session: next }), { code: "ERR_LEASE_SESSION" });
});

test("THREAT-29: a lease that is begun again and again, with the clock set back in between, lasts no longer", async () => {
  await using gateway = await running();
  await using client = gateway.connect();
  const lease = gateway.lease();
  for (let passed = 0; passed < 560; passed += 80) {
    const session = await begin(client, lease);
    await ask(client, CUSTODY.list, { session });
    gateway.clock.forward(80);
    gateway.clock.set(-80);
  }
  const last = await begin(client, lease);
  gateway.clock.forward(39);
  await ask(client, CUSTODY.list, { session: last });
  gateway.clock.forward(1);
  gateway.clock.set(-40);
  await assert.rejects(ask(client, CUSTODY.list, { session: last }), { code: "ERR_LEASE_SESSION" });
  const again = await begin(client, lease);
  await assert.rejects(ask(client, CUSTODY.list, { session: again }), {
    code: "ERR_LEASE_SESSION",
  });
});

test("THREAT-29: restarts with the clock set back give no lease more than its life and three minutes", async () => {
  await using gateway = await running();
  const lease = gateway.lease();
  const { id } = await madeKey(gateway, lease);
  // Each of three further processes stops just before it would write down what was used.
  for (let restart = 0; restart < 3; restart += 1) {
    // One after the other: each is a process.
    await gateway.stop();
    await gateway.start();
    await using client = gateway.connect();
    const session = await begin(client, lease);
    gateway.clock.forward(59);
    gateway.clock.set(-59);
    await askForBytes(client, CUSTODY.sign, { session, id }, INPUT);
    // Beginning it again here is no restart.
    await begin(client, lease);
  }
  await gateway.stop();
  await gateway.start();
  await using client = gateway.connect();
  await assert.rejects(begin(client, lease), { code: "ERR_LEASE_OLD", message: /too many/ });
  // A new one is taken at once.
  const session = await begin(client, gateway.lease());
  await askForBytes(client, CUSTODY.sign, { session, id }, INPUT);
});

test("THREAT-29: what a lease has left is remembered, whatever the clock says after a restart", async () => {
  await using gateway = await running();
  const lease = gateway.lease();
  const { id } = await madeKey(gateway, lease);
  {
    await using client = gateway.connect();
    const session = await begin(client, lease);
    for (let passed = 0; passed < 540; passed += 60) {
      gateway.clock.forward(60);
      gateway.clock.set(-60);
      await askForBytes(client, CUSTODY.sign, { session, id }, INPUT);
    }
  }
  await gateway.stop();
  await gateway.start();
  await using client = gateway.connect();
  const session = await begin(client, lease);
  gateway.clock.forward(59);
  gateway.clock.set(-59);
  await askForBytes(client, CUSTODY.sign, { session, id }, INPUT);
  gateway.clock.forward(1);
  await assert.rejects(askForBytes(client, CUSTODY.sign, { session, id }, INPUT), {
    code: "ERR_LEASE_SESSION",
  });
});

test("a gateway that falls again and again under one lease: the signer gets another, and goes on by itself", async () => {
  await using gateway = await running();
  let lease = gateway.lease();
  const wornOut: object[] = [];
  await using custodian = gateway.custodian(
    () => lease,
    "plain-file",
    (old) => void wornOut.push(old),
  );
  const key = await custodian.generate("Ed25519");
  const first = lease;
  const fall = async (): Promise<void> => {
    await gateway.stop();
    await assert.rejects(async () => key.sign(INPUT), { code: "ERR_KEY_BUSY" });
    await gateway.start();
  };
  for (let restart = 0; restart < 3; restart += 1) {
    // One after the other: each is a process.
    await fall();
    await key.sign(INPUT);
  }
  await fall();
  assert.deepEqual(wornOut, []);
  await assert.rejects(async () => key.sign(INPUT), noLease);
  await assert.rejects(async () => key.sign(INPUT), noLease);
  assert.deepEqual(wornOut, [first]);
  const refused = () => gateway.events.filter(({ name }) => name === "lease_refused").length;
  assert.equal(refused(), 1, "a lease that was refused is not shown again");
  lease = gateway.lease();
  await key.sign(INPUT);
});

test("whoever floods the gateway with leases gets 64, then one a second, and fills no log", async () => {
  await using gateway = await running();
  await using client = gateway.connect();
  const thief = { ...gateway.lease(), prove: gateway.lease({}, newHolder()).prove };
  const refused = () => gateway.events.filter(({ name }) => name === "lease_refused").length;
  for (let i = 0; i < 64; i += 1)
    // One after the other: so many challenges do not wait at once.
    await assert.rejects(begin(client, thief), { code: "ERR_LEASE_HOLDER" });
  const busy = { code: "ERR_LEASE_BUSY", retryAfterSeconds: 1 };
  await assert.rejects(begin(client, thief), busy);
  await assert.rejects(begin(client, gateway.lease()), busy);
  assert.equal(refused(), 64);
  gateway.clock.forward(1);
  await begin(client, gateway.lease());
  await assert.rejects(begin(client, gateway.lease()), busy);
});

test("P5: what custody took too long for is not answered once the lease has ended", async () => {
  let slow = 0;
  const clock = new TestClock();
  const slowly = async <T>(answer: T): Promise<T> => {
    clock.forward(slow);
    return answer;
  };
  const open = async (folder: string): Promise<Custodian> => {
    const files = openFileCustodian({ folder, passphrase: "beside" });
    return {
      label: files.label,
      generate: async (alg) => slowly(await files.generate(alg)),
      open: async (id) => slowly(await files.open(id)),
      list: async () => slowly(await files.list()),
      destroy: async (id) => slowly(await files.destroy(id)),
      audit: async () => slowly([]),
      [Symbol.asyncDispose]: async () => files[Symbol.asyncDispose](),
    };
  };
  const gateway = new TestGateway(open, { clock });
  await gateway.start();
  await using _ = gateway;
  await using client = gateway.connect();
  const { id } = await madeKey(gateway);
  const { id: other } = await madeKey(gateway);
  slow = 600;
  for (const use of [
    (session: Buffer) => ask(client, CUSTODY.generate, { session, alg: "ES256" }),
    (session: Buffer) => ask(client, CUSTODY.open, { session, id }),
    (session: Buffer) => ask(client, CUSTODY.list, { session }),
    (session: Buffer) => ask(client, CUSTODY.audit, { session }),
    (session: Buffer) => askForBytes(client, CUSTODY.sign, { session, id: other }, INPUT),
    (session: Buffer) => ask(client, CUSTODY.destroy, { session, id }),
  ]) {
    // One after the other: each ends the lease of its own.
    const session = await begin(client, gateway.lease());
    await assert.rejects(use(session), { code: "ERR_LEASE_SESSION" }, String(use));
  }
});

test("custody that holds 1024 keys makes no more: their names must fit into one answer", async () => {
  let held = 1022;
  const gateway = new TestGateway(async (folder) => {
    const files = openFileCustodian({ folder, passphrase: "beside" });
    return {
      label: files.label,
      generate: async (alg) => {
        held += 1;
        return files.generate(alg);
      },
      open: async (id) => files.open(id),
      list: async () => Array.from({ length: held }, () => "0".repeat(64)),
      destroy: async (id) => files.destroy(id),
      [Symbol.asyncDispose]: async () => files[Symbol.asyncDispose](),
    };
  });
  await gateway.start();
  await using _ = gateway;
  await using client = gateway.connect();
  const session = await begin(client, gateway.lease());
  const made = await Promise.allSettled(
    Array.from({ length: 8 }, () => ask(client, CUSTODY.generate, { session, alg: "ES256" })),
  );
  assert.ok(made.filter(({ status }) => status === "fulfilled").length <= 2);
  held = 1023;
  await ask(client, CUSTODY.generate, { session, alg: "ES256" });
  await assert.rejects(ask(client, CUSTODY.generate, { session, alg: "ES256" }), {
    code: "ERR_CUSTODY_FULL",
  });
  assert.equal((await ask(client, CUSTODY.list, { session })).ids.length, 1024);
  const lease = gateway.lease();
  await using custodian = gateway.custodian(() => lease);
  await assert.rejects(custodian.generate("ES256"), { name: "KeyError", code: "ERR_KEY_CUSTODY" });
});

test("P5: a lease of another realm, signer or log, of a thief, or out of its time, opens nothing", async () => {
  await using gateway = await running();
  await using client = gateway.connect();
  const { clock } = gateway;
  const now = clock.seconds;
  for (const [change, code] of [
    [{ realm: "enterprise" }, "ERR_LEASE_REALM"],
    [{ signer: "signer-enterprise" }, "ERR_LEASE_REALM"],
    [{ issued: now - 600, expires: now }, "ERR_LEASE_EXPIRED"],
    [{ issued: now + 31, expires: now + 60 }, "ERR_LEASE_CLOCK"],
  ] as const)
    await assert.rejects(begin(client, gateway.lease(change)), { code }, code);
  const thief = gateway.lease({}, newHolder());
  await assert.rejects(begin(client, { ...gateway.lease(), prove: thief.prove }), {
    code: "ERR_LEASE_HOLDER",
  });
  await using other = new TestGateway();
  await assert.rejects(begin(client, other.lease()), { code: "ERR_LEASE_PROOF" });
  await begin(client, gateway.lease({ issued: now + 30, expires: now + 60 }));
  const names = new Set(gateway.events.map(({ name }) => name));
  assert.deepEqual(names, new Set(["lease_refused", "lease_begun"]));
});

test("THREAT-14: a challenge is for one use, and for ten seconds", async () => {
  await using gateway = await running();
  await using client = gateway.connect();
  const lease = gateway.lease();
  const { challenge } = await ask(client, CUSTODY.challenge, {});
  const used = { challenge, grant: lease.grant, proof: lease.prove(challenge) };
  await ask(client, CUSTODY.begin, used);
  await assert.rejects(ask(client, CUSTODY.begin, used), { code: "ERR_LEASE_CHALLENGE" });
  const late = await ask(client, CUSTODY.challenge, {});
  gateway.clock.forward(10);
  await assert.rejects(
    ask(client, CUSTODY.begin, { ...used, ...late, proof: lease.prove(late.challenge) }),
    { code: "ERR_LEASE_CHALLENGE" },
  );
  const waiting = Array.from({ length: 64 }, () => ask(client, CUSTODY.challenge, {}));
  await Promise.all(waiting);
  await assert.rejects(ask(client, CUSTODY.challenge, {}), { code: "ERR_LEASE_BUSY" });
  gateway.clock.forward(10);
  await ask(client, CUSTODY.challenge, {});
});

test("THREAT-30: after a restart an older lease and a clock from before are refused", async () => {
  await using gateway = await running();
  const old = gateway.lease();
  const newest = gateway.lease();
  {
    await using client = gateway.connect();
    await begin(client, newest);
    await assert.rejects(begin(client, old), { code: "ERR_LEASE_OLD" });
    gateway.clock.forward(120);
    // Use alone writes the time down.
    const session = await begin(client, newest);
    gateway.clock.forward(120);
    await ask(client, CUSTODY.list, { session });
  }
  await gateway.stop();
  await gateway.start();
  await using client = gateway.connect();
  await assert.rejects(begin(client, old), { code: "ERR_LEASE_OLD" });
  await begin(client, newest);
  gateway.clock.set(-31);
  await assert.rejects(begin(client, newest), { code: "ERR_LEASE_CLOCK" });
  assert.ok(gateway.events.some(({ name }) => name === "clock_behind"));
  gateway.clock.set(1);
  await begin(client, newest);
});

test("a gateway whose memory is not what it wrote does not start", async () => {
  await using gateway = await running();
  await gateway.stop();
  const state = join(gateway.folder, "state.json");
  assert.equal(existsSync(state), false);
  const good = { v: 1, log: gateway.log.origin, seconds: 1, index: 0 };
  for (const damaged of [
    {},
    { ...good, seconds: -1 },
    { ...good, v: 2 },
    { ...good, more: 1 },
    { ...good, restarts: -1 },
    { ...good, leftSeconds: 0.5 },
  ]) {
    const text = JSON.stringify(damaged);
    writeFileSync(state, text, { mode: 0o600 });
    await assert.rejects(gateway.start(), Error, text);
  }
  // Of another broker's log: its places say nothing of this one's.
  writeFileSync(state, JSON.stringify({ ...good, log: "other", index: 99 }), { mode: 0o600 });
  await gateway.start();
  await using client = gateway.connect();
  await begin(client, gateway.lease());
  assert.deepEqual(JSON.parse(readFileSync(state, "utf8")), {
    ...good,
    seconds: gateway.clock.seconds,
    restarts: 0,
    leftSeconds: 600,
  });
});

test("a disk that is full ends no session, but none begins before the time can be written down", async () => {
  await using gateway = await running();
  await using client = gateway.connect();
  const session = await begin(client, gateway.lease());
  // What stands where the new file would be written: every write fails.
  const blocked = join(gateway.folder, "state.json.new");
  mkdirSync(blocked);
  gateway.clock.forward(120);
  await ask(client, CUSTODY.list, { session });
  await ask(client, CUSTODY.list, { session });
  const failed = gateway.events.filter(({ name }) => name === "time_not_kept");
  assert.equal(failed.length, 1);
  await assert.rejects(begin(client, gateway.lease()));
  rmdirSync(blocked);
  await begin(client, gateway.lease());
});

test("sessions are bounded, the oldest gives way, and status tells how long keys can be used", async () => {
  const gateway = new TestGateway();
  const service = await gateway.start();
  await using _ = gateway;
  await using client = gateway.connect();
  assert.deepEqual(await service.status(), { realm: "consumer", sessions: 0, expires: null });
  const sessions: Buffer[] = [];
  for (let i = 0; i < 17; i += 1) sessions.push(await begin(client, gateway.lease()));
  const expires = gateway.clock.seconds + 600;
  assert.deepEqual(await service.status(), { realm: "consumer", sessions: 16, expires });
  const [first = Buffer.alloc(32), second = Buffer.alloc(32)] = sessions;
  await assert.rejects(ask(client, CUSTODY.list, { session: first }), {
    code: "ERR_LEASE_SESSION",
  });
  await ask(client, CUSTODY.list, { session: second });
  gateway.clock.forward(600);
  assert.deepEqual(await service.status(), { realm: "consumer", sessions: 0, expires: null });
});

function noLease(error: unknown): boolean {
  return error instanceof KeyError && error.code === "ERR_KEY_LEASE";
}

test("a renewed lease is taken up while the older one still signs; without one nothing is signed", async () => {
  await using gateway = await running();
  let lease: TestLease | undefined = gateway.lease();
  await using custodian = gateway.custodian(() => lease);
  const key = await custodian.generate("Ed25519");
  gateway.clock.forward(300);
  lease = gateway.lease();
  await Promise.all(Array.from({ length: 50 }, async () => key.sign(INPUT)));
  const begun = () => gateway.events.filter(({ name }) => name === "lease_begun").length;
  await until(() => begun() === 2);
  gateway.clock.forward(599);
  await key.sign(INPUT);
  gateway.clock.forward(1);
  await assert.rejects(async () => key.sign(INPUT), noLease);
  lease = undefined;
  await assert.rejects(async () => key.sign(INPUT), noLease);
  await assert.rejects(custodian.list(), noLease);
  lease = gateway.lease();
  await key.sign(INPUT);
  assert.equal(begun(), 3);
});

test("a gateway that starts again, is away, or holds keys elsewhere than agreed", async () => {
  await using gateway = await running();
  const lease = gateway.lease();
  await using custodian = gateway.custodian(() => lease);
  const key = await custodian.generate("Ed25519");
  await gateway.stop();
  // A call that was under way, or comes before the gateway is back, is one to repeat.
  const away = await Promise.resolve(key.sign(INPUT)).catch((error: unknown) => error);
  assert.ok(away instanceof KeyError && away.code === "ERR_KEY_BUSY");
  await gateway.start();
  await key.sign(INPUT);
  await using other = gateway.custodian(() => lease, "pkcs11");
  await assert.rejects(other.list(), { name: "KeyError", code: "ERR_KEY_DENIED" });
  await using client = gateway.connect();
  await assert.rejects(client.request({ op: "export" }), { code: "ERR_CUSTODY_OP" });
});

test("custody that does not open is left alone for a while, and says why", async () => {
  let opened = 0;
  let failure: KeyError | undefined = new KeyError("ERR_KEY_MODULE", "Not installed");
  const gateway = new TestGateway(async (folder) => {
    opened += 1;
    if (failure) throw failure;
    return openFileCustodian({ folder, passphrase: "beside" });
  });
  await gateway.start();
  await using _ = gateway;
  const lease = gateway.lease();
  await using custodian = gateway.custodian(() => lease);
  await assert.rejects(custodian.list(), { name: "KeyError", code: "ERR_KEY_MODULE" });
  await assert.rejects(custodian.list(), { name: "KeyError", code: "ERR_KEY_MODULE" });
  assert.deepEqual([opened, gateway.loaded], [1, 0], "what is missing may still be loaded");
  gateway.clock.forward(5);
  failure = new KeyError("ERR_KEY_DENIED", "PIN is refused");
  await assert.rejects(custodian.list(), { name: "KeyError", code: "ERR_KEY_DENIED" });
  assert.deepEqual([opened, gateway.loaded > 0], [2, true], "THREAT-33: nothing more is loaded");
  gateway.clock.forward(5);
  failure = undefined;
  assert.deepEqual(await custodian.list(), []);
  assert.equal(opened, 3);
});

import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import { until } from "@redoubt/testkit";
import type { JsonObject } from "@redoubt/verify/json";
import { KeyError, type KeyErrorCode } from "@redoubt/keys";
import { RemoteError } from "@redoubt/wire";
import type { Signer } from "../context.ts";
import { digestOf, list, text } from "../testing/answers.ts";
import { CountingCustodian, type CustodyCall } from "../testing/counting-custodian.ts";
import { Deployment, refusalOf, TIMES, WANTED } from "../testing/deployment.ts";

const FAULTS: readonly KeyErrorCode[] = [
  "ERR_KEY_BUSY",
  "ERR_KEY_DENIED",
  "ERR_KEY_CUSTODY",
  "ERR_KEY_MODULE",
];

function failing(code: KeyErrorCode, calls?: readonly CustodyCall[]) {
  return (call: CustodyCall): void => {
    if (!calls || calls.includes(call)) throw new KeyError(code, "Test");
  };
}

async function keysOf(signer: Signer): Promise<readonly (readonly [string, string])[]> {
  const keys: unknown = Reflect.get(await signer.status(), "keys");
  return Array.isArray(keys)
    ? keys.map((key: { kid: string; state: string }) => [key.kid, key.state] as const)
    : [];
}

async function metadata(deployment: Deployment): Promise<JsonObject> {
  return (await deployment.client("operator").request({ op: "metadata" })).head;
}

/** Digests in the issuance log, in hex. */
function logged(deployment: Deployment): string[] {
  return deployment.ledger.issuance.entries.map((entry) => entry.toString("hex", 1, 33));
}

async function remoteError(request: Promise<unknown>): Promise<RemoteError> {
  try {
    await request;
  } catch (error) {
    if (error instanceof RemoteError) return error;
    throw error;
  }
  return assert.fail("not refused");
}

describe("THREAT-05: custody that is away when the signer starts", () => {
  for (const code of FAULTS)
    for (const call of ["list", "open"] as const)
      it(`${code} of ${call}: no key is taken for lost, and the signer goes on by itself`, async () => {
        await using deployment = await Deployment.start();
        const { custodian, clock } = deployment;
        const first = await deployment.openReady();
        const before = await keysOf(first);
        await first[Symbol.asyncDispose]();
        const { size } = deployment.ledger.registry;

        let opened = 0;
        custodian.before = (now) => {
          if (now === "open") opened += 1;
          // The first key still opens: half of what custody holds is not what it holds.
          if (now === call && (call === "list" || opened % 2 === 0))
            throw new KeyError(code, "Test");
        };
        const signer = await deployment.open();
        await assert.rejects(signer.tick(), { code });
        assert.equal((await deployment.events.named("custody_trouble")).fields["code"], code);
        clock.forward(60);
        await assert.rejects(signer.tick(), { code });
        clock.forward(60);
        await assert.rejects(signer.tick(), { code });
        assert.equal(deployment.ledger.registry.size, size);
        assert.equal(custodian.generated, 2);
        assert.deepEqual(custodian.destroyed, []);
        const { ready } = await metadata(deployment);
        assert.equal(ready, false);
        const refusal = await remoteError(deployment.client().request(WANTED));
        assert.equal(refusal.code, "ERR_SIGNER_STARTING");
        assert.match(refusal.message, new RegExp(code));
        assert.match(
          String(Reflect.get(await signer.status(), "reason")),
          new RegExp(`^${code}: `),
        );

        custodian.before = () => undefined;
        await signer.tick();
        await signer.ready;
        assert.deepEqual(await keysOf(signer), before);
        const { head } = await deployment.client().request(WANTED);
        assert.equal(head["kid"], before[0]?.[0]);
        await deployment.events.named("custody_back");
      });

  it("a key that is gone while custody is there is still a lost one", async () => {
    await using deployment = await Deployment.start();
    const first = await deployment.openReady();
    const [active] = await keysOf(first);
    await first[Symbol.asyncDispose]();
    const [id = ""] = deployment.custodian.keys.keys();
    deployment.custodian.before = (call, opened) => {
      if (call === "open" && opened === id) throw new KeyError("ERR_KEY_DISABLED", "Test");
    };
    const signer = await deployment.open();
    await signer.tick();
    const states = new Map(await keysOf(signer));
    assert.equal(states.get(active?.[0] ?? ""), "verify-only");
  });
});

async function changed(deployment: Deployment, custodian = new CountingCustodian()) {
  const first = await deployment.openReady();
  deployment.clock.forward(TIMES.prepublishSeconds);
  await first.tick();
  await first[Symbol.asyncDispose]();
  const signer = await deployment.open({ custodian });
  await signer.tick();
  return signer;
}

async function statesOf(signer: Signer): Promise<string[]> {
  return (await keysOf(signer)).map(([, state]) => state);
}

describe("P6: custody that is another one after a restart", () => {
  const EARLY_SECONDS = 900;

  it("publishes new keys at once and signs after 15 minutes, and says what that costs", async () => {
    await using deployment = await Deployment.start();
    const { clock, monitor, events } = deployment;
    const signer = await changed(deployment);
    assert.deepEqual(await statesOf(signer), [
      "verify-only",
      "retired",
      "prepublished",
      "prepublished",
    ]);
    const lost = await monitor.told.first(({ kind }) => kind === "custody-lost-key");
    assert.match(lost.detail, /no standby is ready.* signs 15 min after it was published/);
    assert.match(String(Reflect.get(await signer.status(), "reason")), /No key signs before 20/);
    clock.forward(EARLY_SECONDS - 1);
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_NO_KEY");
    clock.forward(1);
    await signer.tick();
    await deployment.client().request(WANTED);
    assert.equal(Reflect.get(await signer.status(), "reason"), undefined);
    const early = await monitor.told.first(({ kind }) => kind === "key-activated-early");
    assert.match(early.detail, /may refuse its tokens for up to 105 min/);
    const activated = events.all.findLast(({ fields }) => fields["to"] === "active");
    assert.equal(activated?.fields["reason"], "custody does not hold the key before it");
    // The next one waits as ever.
    clock.forward(TIMES.activeSeconds);
    await signer.tick();
    assert.equal(monitor.told.all.filter(({ kind }) => kind === "key-activated-early").length, 1);
  });

  it("a custody that cannot make keys yet makes them when it is there, and then waits no longer", async () => {
    await using deployment = await Deployment.start();
    const { clock } = deployment;
    const custodian = new CountingCustodian();
    custodian.before = failing("ERR_KEY_DENIED", ["generate"]);
    const signer = await changed(deployment, custodian);
    // Longer than the old key is published.
    clock.forward(2 * TIMES.verifyOnlySeconds);
    await signer.tick();
    custodian.before = () => undefined;
    clock.forward(30);
    await signer.tick();
    clock.forward(EARLY_SECONDS);
    await signer.tick();
    await deployment.client().request(WANTED);
  });

  it("a standby that custody still holds and every verifier knows signs at once", async () => {
    await using deployment = await Deployment.start();
    const { monitor } = deployment;
    const first = await deployment.openReady();
    deployment.clock.forward(TIMES.prepublishSeconds);
    await first.tick();
    const [id = ""] = deployment.custodian.keys.keys();
    deployment.custodian.keys.delete(id);
    await first[Symbol.asyncDispose]();
    await deployment.openReady();
    await deployment.client().request(WANTED);
    const lost = await monitor.told.first(({ kind }) => kind === "custody-lost-key");
    assert.doesNotMatch(lost.detail, /no standby/);
  });

  it("after a taint nothing signs early: that is a person's decision", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const [active] = await keysOf(signer);
    const kid = active?.[0] ?? "";
    await deployment.client("operator").request({ op: "taint", kid, reason: "test" });
    deployment.clock.forward(EARLY_SECONDS);
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_NO_KEY");
  });
});

describe("THREAT-05: custody that goes away later", () => {
  for (const code of FAULTS)
    it(`${code}: nothing is ended or destroyed, hand-over goes on, and it recovers by itself`, async () => {
      await using deployment = await Deployment.start();
      const { custodian, clock } = deployment;
      const signer = await deployment.openReady();
      clock.forward(TIMES.activeSeconds);
      custodian.before = failing(code);
      await assert.rejects(untilTold(deployment, signer), { code });
      // The standby was opened before; only the next one cannot be made.
      assert.deepEqual(
        (await keysOf(signer)).map(([, state]) => state),
        ["verify-only", "active"],
      );
      assert.equal((await metadata(deployment))["ready"], false);
      assert.equal((await metadata(deployment))["problem"], code);
      assert.deepEqual(custodian.destroyed, []);
      custodian.before = () => undefined;
      clock.forward(30);
      await untilReady(deployment, signer);
      clock.forward(30);
      await signer.tick();
      assert.deepEqual(
        (await keysOf(signer)).map(([, state]) => state),
        ["verify-only", "active", "prepublished"],
      );
      await deployment.client().request(WANTED);
    });

  it("a key is destroyed in the registry only once custody did it", async () => {
    await using deployment = await Deployment.start();
    const { custodian, clock } = deployment;
    const signer = await deployment.openReady();
    clock.forward(TIMES.activeSeconds);
    await signer.tick();
    clock.forward(TIMES.verifyOnlySeconds);
    await signer.tick();
    custodian.before = failing("ERR_KEY_BUSY", ["destroy"]);
    clock.forward(TIMES.prepublishSeconds + TIMES.expirySeconds);
    await signer.tick();
    assert.equal((await keysOf(signer))[0]?.[1], "retired");
    assert.deepEqual(custodian.destroyed, []);
    custodian.before = () => undefined;
    clock.forward(30);
    await signer.tick();
    assert.equal((await keysOf(signer))[0]?.[1], "destroyed");
  });

  it("not ready after 3 s without any success, at once where it is no moment's matter", async () => {
    await using deployment = await Deployment.start();
    const { custodian, clock } = deployment;
    await deployment.openReady();
    const isReady = async () => (await metadata(deployment))["ready"];
    custodian.before = failing("ERR_KEY_BUSY");
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_KEY_BUSY");
    clock.forward(2.999);
    assert.equal(await isReady(), true);
    clock.forward(0.001);
    assert.equal(await isReady(), false);
    clock.forward(2);
    custodian.before = () => undefined;
    await deployment.client().request(WANTED);
    assert.equal(await isReady(), true);
    custodian.before = failing("ERR_KEY_DENIED");
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_KEY_DENIED");
    assert.equal(await isReady(), false);
  });

  it("is found out without any request, and told to the monitor", async () => {
    await using deployment = await Deployment.start();
    const { custodian, clock, monitor } = deployment;
    const signer = await deployment.openReady();
    custodian.before = failing("ERR_KEY_DENIED");
    clock.forward(59);
    await signer.tick();
    assert.equal((await metadata(deployment))["ready"], true);
    clock.forward(1);
    await assert.rejects(untilTold(deployment, signer), { code: "ERR_KEY_DENIED" });
    assert.equal((await metadata(deployment))["ready"], false);
    await monitor.told.first(({ kind }) => kind === "custody-trouble");
  });
});

/** Turns until one says what is wrong: custody is asked beside them. */
async function untilTold(deployment: Deployment, signer: Signer): Promise<never> {
  for (let turn = 0; turn < 50; turn += 1) {
    await signer.tick();
    deployment.clock.forward(1);
    await new Promise(setImmediate);
  }
  return assert.fail("custody was never found to be away");
}

async function untilReady(deployment: Deployment, signer: Signer): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) {
    if ((await metadata(deployment))["ready"] === true) return;
    deployment.clock.forward(1);
    await signer.tick().catch(() => undefined);
  }
  assert.fail("never ready again");
}

function busy(): never {
  throw new KeyError("ERR_KEY_BUSY", "Throttled by somebody's-arn", { retryAfterSeconds: 2 });
}

describe("back-pressure of custody", () => {
  it("a token that was not signed is named without its signature; while custody waits nothing is logged", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { custodian, clock } = deployment;
    const client = deployment.client();
    custodian.before = (call) => (call === "sign" ? busy() : undefined);
    const first = await remoteError(client.request(WANTED));
    assert.deepEqual(
      [first.code, first.retryAfterSeconds, first.details["committed"]],
      ["ERR_KEY_BUSY", 2, true],
    );
    assert.doesNotMatch(first.message, /arn/);
    const unsigned = String(first.details["unsigned"]);
    assert.equal(unsigned.split(".").length, 2);
    assert.deepEqual(logged(deployment), [hash("sha256", unsigned)]);

    const second = await remoteError(client.request(WANTED));
    assert.deepEqual([second.code, second.retryAfterSeconds], ["ERR_KEY_BUSY", 2]);
    assert.deepEqual(
      [second.details["committed"], second.details["unsigned"]],
      [undefined, undefined],
    );
    clock.forward(1.5);
    assert.equal((await remoteError(client.request(WANTED))).retryAfterSeconds, 1);
    assert.equal(logged(deployment).length, 1);
    custodian.before = () => undefined;
    clock.forward(0.5);
    const { head } = await client.request(WANTED);
    assert.equal(logged(deployment)[1], digestOf(text(head, "token")));
  });

  it("throttled: each answer is a token or a refusal, and every logged digest is in one of them", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { custodian, clock } = deployment;
    let calls = 0;
    custodian.before = (call) => {
      calls += call === "sign" ? 1 : 0;
      if (call === "sign" && calls % 3 === 0) busy();
    };
    const digests: string[] = [];
    const tally = { tokens: 0, unsigned: 0, refused: 0 };
    for (let round = 0; round < 6; round += 1) {
      const { op: _, ...item } = WANTED;
      const asked = { op: "issueBatch", items: Array.from({ length: 20 }, () => item) };
      const { head } = await deployment.client().request(asked);
      for (const result of list(head, "results")) {
        if (typeof result["token"] === "string") {
          tally.tokens += 1;
          digests.push(digestOf(result["token"]));
        } else if (result["committed"] === true) {
          tally.unsigned += 1;
          assert.deepEqual([result["code"], result["retryAfterSeconds"]], ["ERR_KEY_BUSY", 2]);
          digests.push(hash("sha256", text(result, "unsigned")));
        } else {
          tally.refused += 1;
          assert.equal(result["code"], "ERR_KEY_BUSY");
          assert.equal("unsigned" in result, false);
        }
      }
      clock.forward(1);
    }
    assert.ok(tally.tokens > 0 && tally.unsigned > 0 && tally.refused > 0, JSON.stringify(tally));
    assert.deepEqual(digests.toSorted(), logged(deployment).toSorted());
  });

  it("one input that custody does not take is no reason to refuse the next", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const { custodian } = deployment;
    custodian.before = failing("ERR_KEY_CUSTODY", ["sign"]);
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_KEY_CUSTODY");
    custodian.before = () => undefined;
    await deployment.client().request(WANTED);
    assert.equal((await metadata(deployment))["ready"], true);
  });

  it("an order for a new key that custody refuses does not keep the others from signing", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { custodian, clock } = deployment;
    custodian.before = failing("ERR_KEY_DENIED", ["generate"]);
    clock.forward(TIMES.activeSeconds);
    await signer.tick();
    await deployment.client().request(WANTED);
    assert.equal((await metadata(deployment))["ready"], true);
  });
});

describe("P5: keys that custody must not hold", () => {
  it("what an audit names signs no more, its successor does, and everybody is told", async () => {
    await using deployment = await Deployment.start();
    const first = await deployment.openReady();
    const { custodian, clock, monitor, events } = deployment;
    clock.forward(TIMES.prepublishSeconds);
    await first.tick();
    await first[Symbol.asyncDispose]();
    const [id = ""] = custodian.keys.keys();
    custodian.refused = [{ id, reason: "can be read" }];
    custodian.before = (call, opened) => {
      if (call === "open" && opened === id && custodian.audits > 1)
        throw new KeyError("ERR_KEY_REFUSED", "can be read");
    };
    const signer = await deployment.openReady();
    await events.named("custody_refused_key");
    const told = await monitor.told.first(({ kind }) => kind === "custody-refused-key");
    assert.equal(told.detail, `${id}: can be read`);
    await signer.tick();
    const states = (await keysOf(signer)).map(([, state]) => state);
    assert.deepEqual(states.slice(0, 2), ["verify-only", "active"]);
    const { head } = await deployment.client().request(WANTED);
    assert.equal(head["kid"], (await keysOf(signer))[1]?.[0]);
    const refused: unknown = Reflect.get(await signer.status(), "refusedKeys");
    assert.deepEqual(refused, [{ id, reason: "can be read" }]);
    assert.equal(events.count("custody_refused_key"), 1);
    // An attack is looked at by a person: nothing of ours removes its traces.
    assert.deepEqual(custodian.destroyed, []);
  });

  it("is audited at the start and daily", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { custodian, clock } = deployment;
    await until(() => custodian.audits === 1);
    clock.forward(86_399);
    await signer.tick();
    assert.equal(custodian.audits, 1);
    clock.forward(1);
    await signer.tick();
    await until(() => custodian.audits === 2);
  });

  it("one that is refused at the start is told too", async () => {
    await using deployment = await Deployment.start();
    await using first = await deployment.openReady();
    await first[Symbol.asyncDispose]();
    const [, standby = ""] = deployment.custodian.keys.keys();
    deployment.custodian.before = (call, id) => {
      if (call === "open" && id === standby) throw new KeyError("ERR_KEY_REFUSED", "no pair");
    };
    await deployment.openReady();
    const told = await deployment.monitor.told.first(({ kind }) => kind === "custody-refused-key");
    assert.equal(told.detail, `${standby}: no pair`);
  });

  it("an audit that fails is repeated after a minute, and stops nothing", async () => {
    await using deployment = await Deployment.start();
    const { custodian, clock, events } = deployment;
    custodian.before = failing("ERR_KEY_BUSY", ["audit"]);
    const signer = await deployment.openReady();
    assert.equal((await events.named("custody_audit_failed")).fields["code"], "ERR_KEY_BUSY");
    await deployment.client().request(WANTED);
    custodian.before = () => undefined;
    clock.forward(59);
    await signer.tick();
    assert.equal(custodian.audits, 0);
    clock.forward(1);
    await signer.tick();
    await until(() => custodian.audits === 1);
  });
});

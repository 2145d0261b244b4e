import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { until } from "@redoubt/testkit";
import { ServiceError } from "@redoubt/base";
import { publicJwk, type KeyState } from "@redoubt/keys";
import type { Signer } from "../context.ts";
import { list, readToken, text } from "../testing/answers.ts";
import { Deployment, refusalOf, TENANT, TIMES, WANTED } from "../testing/deployment.ts";

const { prepublishSeconds, activeSeconds, verifyOnlySeconds, expirySeconds } = TIMES;

async function states(signer: Signer): Promise<string[]> {
  const keys: unknown = Reflect.get(await signer.status(), "keys");
  return Array.isArray(keys) ? keys.map((key: { state: string }) => key.state) : [];
}

async function kids(signer: Signer): Promise<string[]> {
  const keys: unknown = Reflect.get(await signer.status(), "keys");
  return Array.isArray(keys) ? keys.map((key: { kid: string }) => key.kid) : [];
}

async function kidNow(deployment: Deployment): Promise<string> {
  const { head } = await deployment.client().request(WANTED);
  return text(readToken(text(head, "token")).header, "kid");
}

function setState(deployment: Deployment, kid: string, state: KeyState): void {
  const { realm } = deployment;
  deployment.stateAsRing({ type: "key-state", realm, kid, state, reason: "test" });
}

describe("the life of a key", () => {
  it("begins with one that signs and one standby, both in the registry before either is used", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    assert.deepEqual(await states(signer), ["active", "prepublished"]);
    assert.equal(deployment.custodian.generated, 2);
    const [first] = await kids(signer);
    assert.equal(await kidNow(deployment), first);
  });

  it("P6: hands over by the clock, without a refused request, and ends in destruction", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { clock, custodian } = deployment;
    const [old, standby] = await kids(signer);
    clock.forward(activeSeconds - 1);
    await signer.tick();
    assert.equal(await kidNow(deployment), old);
    clock.forward(1);
    await signer.tick();
    assert.deepEqual(await states(signer), ["verify-only", "active", "prepublished"]);
    assert.equal(await kidNow(deployment), standby);
    clock.forward(verifyOnlySeconds - 1);
    await signer.tick();
    assert.deepEqual((await states(signer))[0], "verify-only");
    clock.forward(1);
    await signer.tick();
    assert.deepEqual((await states(signer))[0], "retired");
    assert.equal(custodian.destroyed.length, 0);
    const left = prepublishSeconds + expirySeconds - 1;
    clock.forward(left);
    await signer.tick();
    assert.deepEqual((await states(signer))[0], "retired");
    assert.equal(custodian.destroyed.length, 0);
    clock.forward(1);
    await signer.tick();
    assert.deepEqual((await states(signer))[0], "destroyed");
    // The standby of the start had the same window.
    assert.equal(custodian.destroyed.length, 2);
    assert.equal(custodian.keys.size, custodian.generated - 2);
  });

  it("P6: requests during a takeover are all answered, and none under a tainted key", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    deployment.clock.forward(activeSeconds);
    const client = deployment.client();
    const rotated = signer.tick().then(() => true);
    let count = 0;
    // One more while the steps are taken, and again.
    for (let isOver = false; !isOver; count += 1)
      isOver = await Promise.race([rotated, client.request(WANTED).then(() => false)]);
    assert.ok(count > 1);
    assert.deepEqual(await states(signer), ["verify-only", "active", "prepublished"]);
  });

  it("does not end without a successor that every verifier knows", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const [old, standby = ""] = await kids(signer);
    deployment.clock.forward(activeSeconds - 60);
    await signer.tick();
    setState(deployment, standby, "tainted");
    await signer.tick();
    deployment.clock.forward(60);
    await signer.tick();
    assert.equal(await kidNow(deployment), old);
    deployment.clock.forward(prepublishSeconds);
    await signer.tick();
    assert.notEqual(await kidNow(deployment), old);
  });

  it("THREAT-02: signs nothing past its age limit, not even where the tick has not run", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { clock, ledger } = deployment;
    // Nothing can be appended, so no key is ever replaced.
    ledger.misbehave = ({ op }, honest) => {
      if (op === "append") throw new ServiceError("ERR_LEDGER_FULL", "Full");
      return honest();
    };
    clock.forward(expirySeconds - 1);
    await signer.tick();
    const [old] = await kids(signer);
    assert.equal(await kidNow(deployment), old);
    const { signed } = deployment.custodian;
    clock.forward(1);
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_NO_KEY");
    assert.equal(deployment.custodian.signed, signed);
    assert.equal(Reflect.get(await signer.status(), "ready"), false);
  });

  it("THREAT-02: a tainted key signs nothing more, is revoked, its private half ends, the standby takes over", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    deployment.clock.forward(prepublishSeconds);
    await signer.tick();
    const [old = "", standby] = await kids(signer);
    setState(deployment, old, "tainted");
    await signer.tick();
    assert.deepEqual(await states(signer), ["revoked", "active", "prepublished"]);
    assert.equal(await kidNow(deployment), standby);
    assert.equal(deployment.custodian.destroyed.length, 1);
  });

  it("THREAT-02: nothing is committed for a key from the moment that its taint was read", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const [old = ""] = await kids(signer);
    setState(deployment, old, "tainted");
    // Reads the registry on its way, without waiting for the next turn.
    const now = deployment.clock.seconds;
    const window = { signFrom: now, signUntil: now + 1, verifyUntil: now + 2 };
    const publicKey = publicJwk(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey);
    const drill = deployment.client("drill");
    await drill.request({ op: "drillKey", publicKey, tenant: TENANT, ...window });
    const commits = deployment.ledger.commits().length;
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_NO_KEY");
    assert.equal(deployment.ledger.commits().length, commits);
  });

  it("THREAT-02: what was committed under a key that was tainted meanwhile is not signed", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const [old = ""] = await kids(signer);
    const { custodian, ledger } = deployment;
    const { signed } = custodian;
    const committed = Promise.withResolvers<void>();
    const tainted = Promise.withResolvers<void>();
    ledger.misbehave = async ({ op }, honest) => {
      const answer = await honest();
      if (op !== "commit") return answer;
      committed.resolve();
      await tainted.promise;
      return answer;
    };
    const asked = refusalOf(deployment.client().request(WANTED));
    await committed.promise;
    setState(deployment, old, "tainted");
    await signer.tick();
    tainted.resolve();
    assert.equal(await asked, "ERR_SIGNER_NO_KEY");
    assert.equal(custodian.signed, signed);
  });

  it("P6: what was committed under a key that handed over meanwhile is signed", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const [old] = await kids(signer);
    const committed = Promise.withResolvers<void>();
    const rotated = Promise.withResolvers<void>();
    deployment.ledger.misbehave = async ({ op }, honest) => {
      const answer = await honest();
      if (op !== "commit") return answer;
      committed.resolve();
      await rotated.promise;
      return answer;
    };
    // The clock moves on by less than a caller waits.
    deployment.clock.forward(activeSeconds - 5);
    await signer.tick();
    const asked = deployment.client().request(WANTED);
    await committed.promise;
    deployment.clock.forward(5);
    await signer.tick();
    rotated.resolve();
    const { header } = readToken(text((await asked).head, "token"));
    assert.equal(header["kid"], old);
    assert.deepEqual((await states(signer))[0], "verify-only");
  });
});

describe("a crash between the steps of a key", () => {
  it("after it was made and before the registry knew it: the same key is used, no other is made", async () => {
    await using deployment = await Deployment.start();
    const { custodian, ledger } = deployment;
    ledger.misbehave = ({ op }, honest) => {
      if (op === "append") throw new ServiceError("ERR_LEDGER_IO", "Away");
      return honest();
    };
    const signer = await deployment.open();
    await deployment.events.named("key_step_failed");
    for (let count = 0; count < 5; count += 1) await signer.tick();
    assert.equal(custodian.generated, 1);
    await signer[Symbol.asyncDispose]();
    ledger.misbehave = undefined;
    const again = await deployment.openReady();
    assert.deepEqual(await states(again), ["active", "prepublished"]);
    assert.equal(custodian.generated, 2);
    assert.equal(custodian.destroyed.length, 0);
  });

  it("after an append whose answer was lost: it is not made twice", async () => {
    await using deployment = await Deployment.start();
    let lost = 0;
    deployment.ledger.misbehave = async ({ op }, honest) => {
      const answer = await honest();
      if (op !== "append" || lost >= 4) return answer;
      lost += 1;
      throw new ServiceError("ERR_LEDGER_IO", "Answer lost");
    };
    const signer = await deployment.open();
    for (let count = 0; count < 8; count += 1) await signer.tick();
    assert.deepEqual(await states(signer), ["active", "prepublished"]);
    assert.equal(deployment.custodian.generated, 2);
    assert.equal(deployment.events.count("registry_void"), 0);
  });

  it("a lost compare-and-swap writes nothing, and is tried again at once, in this tick and the next", async () => {
    await using deployment = await Deployment.start();
    let lost = 0;
    const wantedLosses = 40;
    deployment.ledger.misbehave = ({ op, head }, honest) => {
      if (op === "append" && head["ifSize"] !== undefined && lost < wantedLosses) {
        lost += 1;
        throw new ServiceError("ERR_LEDGER_SIZE", "Registry moved");
      }
      return honest();
    };
    const signer = await deployment.open();
    const { fields } = await deployment.events.named("key_step_failed");
    assert.equal(fields["code"], "ERR_LEDGER_SIZE");
    await signer.ready;
    assert.equal(lost, wantedLosses);
    assert.deepEqual(await states(signer), ["active", "prepublished"]);
    assert.equal(deployment.events.count("registry_void"), 0);
  });

  it("every step is a compare-and-swap", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const appends = deployment.ledger.calls.filter(({ op }) => op === "append");
    const swaps = appends.filter(({ head }) => "ifSize" in head);
    // Two keys, each registered and published, and one activation.
    assert.equal(swaps.length, 5);
    assert.equal(appends.length, 5);
  });

  it("custody that is full does not stop the key that signs, nor a takeover", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const [, standby] = await kids(signer);
    deployment.custodian.isFull = true;
    deployment.clock.forward(activeSeconds);
    await signer.tick();
    assert.equal(await kidNow(deployment), standby);
    assert.equal(deployment.events.count("key_step_failed") > 0, true);
    deployment.custodian.isFull = false;
    await signer.tick();
    assert.deepEqual(await states(signer), ["verify-only", "active", "prepublished"]);
  });

  it("keys that custody lost do not block the ring", async () => {
    await using deployment = await Deployment.start();
    const first = await deployment.openReady();
    const { custodian } = deployment;
    deployment.clock.forward(prepublishSeconds);
    await first.tick();
    await first[Symbol.asyncDispose]();
    const [activeId = ""] = custodian.keys.keys();
    custodian.keys.delete(activeId);
    const signer = await deployment.openReady();
    assert.deepEqual(await states(signer), ["verify-only", "active", "prepublished"]);
    await deployment.client().request(WANTED);
  });

  it("a record that stays void is not registered again every second, under no new key", async () => {
    await using deployment = await Deployment.start();
    const { ledger, custodian, events } = deployment;
    ledger.misbehave = ({ op }, honest) =>
      op === "append" ? { head: { index: 0, size: 0, checkpoint: "x" } } : honest();
    await deployment.open();
    const { fields } = await events.named("key_step_failed");
    assert.equal(fields["code"], "ERR_SIGNER_REGISTRY_VOID");
    const calls = ledger.calls.length;
    await until(() => ledger.calls.length >= calls + 30);
    assert.equal(ledger.calls.filter(({ op }) => op === "append").length, 1);
    assert.deepEqual([custodian.generated, events.count("key_made")], [1, 0]);
  });

  it("a statement that stays void is not repeated every second", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { ledger } = deployment;
    deployment.clock.forward(activeSeconds);
    // The ledger takes the statement and keeps another in its place.
    ledger.misbehave = ({ op }, honest) =>
      op === "append" ? { head: { index: 0, size: 0, checkpoint: "x" } } : honest();
    await signer.tick();
    assert.equal(deployment.events.count("key_step_failed") > 0, true);
    const appends = (): number => ledger.calls.filter(({ op }) => op === "append").length;
    const before = appends();
    const polls = ledger.calls.length;
    // The loop goes on turning; the clock stands.
    await until(() => ledger.calls.length >= polls + 30);
    assert.equal(appends(), before);
    assert.deepEqual((await states(signer))[0], "active");
  });
});

describe("fetchKeys", () => {
  it("lists what relying parties may meet, and ended keys never", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const client = deployment.client();
    for (let count = 0; count < 4; count += 1) {
      deployment.clock.forward(activeSeconds);
      await signer.tick();
    }
    const { head } = await client.request({ op: "fetchKeys" });
    const listed = list(head, "keys").map((key) => text(key, "state"));
    assert.ok(
      (await states(signer)).includes("destroyed") || (await states(signer)).includes("retired"),
    );
    assert.deepEqual(
      listed.filter((state) => state === "retired" || state === "destroyed"),
      [],
    );
    assert.equal(listed.includes("active"), true);
  });
});

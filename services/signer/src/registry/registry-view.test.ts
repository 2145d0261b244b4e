import { changed, type Honest } from "@redoubt/testkit";
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { ServiceError, type EventSink } from "@redoubt/base";
import { publicJwk } from "@redoubt/keys";
import type { JsonObject } from "@redoubt/verify/json";
import type { Answer, Call } from "@redoubt/wire";
import { list } from "../testing/answers.ts";
import { AUDIENCE, CLIENT, Deployment, refusalOf, TENANT, WANTED } from "../testing/deployment.ts";

/** Takes the bodies of some items away. */
function hiding(isHidden: (index: number) => boolean) {
  return async ({ op, head }: Call, honest: Honest): Promise<Answer> => {
    const answer = await honest();
    if (op !== "registry") return answer;
    const body: JsonObject = { ...answer.head };
    const items = list(body, "items").map((item, place) =>
      isHidden(Number(head["from"]) + place) ? { entry: item["entry"] } : item,
    );
    return { head: { ...body, items } };
  };
}

const SUSPEND = {
  type: "tenant",
  realm: "enterprise",
  tenant: TENANT,
  status: "suspended",
  audiences: [AUDIENCE],
} as const;

describe("the registry as a signer sees it", () => {
  it("a suspension takes effect with the registry entry", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    deployment.state(SUSPEND);
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_HANDLE");
    deployment.state({ ...SUSPEND, status: "active" });
    await signer.tick();
    await deployment.client().request(WANTED);
  });

  it("an audience taken from the tenant is taken from its clients", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    deployment.state({ ...SUSPEND, status: "active", audiences: ["api://two"] });
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_AUDIENCE");
  });

  it("a hidden body stops everything until it is shown; it cannot hide a suspension", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { size } = deployment.ledger.registry;
    deployment.ledger.misbehave = hiding((index) => index === size);
    deployment.state(SUSPEND);
    deployment.state({ ...SUSPEND, tenant: TENANT.replace("1", "2"), status: "active" });
    for (let count = 0; count < 3; count += 1) {
      assert.equal(await refusalOf(signer.tick()), "ERR_REGISTRY_HIDDEN");
      assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_REGISTRY");
      const keys = deployment.client().request({ op: "fetchKeys" });
      assert.equal(await refusalOf(keys), "ERR_SIGNER_REGISTRY");
    }
    assert.equal(deployment.monitor.told.all.filter(({ op }) => op === "refusal").length, 0);
    assert.equal(Reflect.get(await signer.status(), "ready"), false);
    deployment.ledger.misbehave = undefined;
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_HANDLE");
    deployment.state({ ...SUSPEND, status: "active" });
    await signer.tick();
    await deployment.client().request(WANTED);
  });

  it("THREAT-06: nor can another body in its place", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { size } = deployment.ledger.registry;
    deployment.ledger.misbehave = async ({ op, head }, honest) => {
      const answer = await honest();
      if (op !== "registry") return answer;
      const body: JsonObject = { ...answer.head };
      const [first] = deployment.ledger.registry.items;
      const items = list(body, "items").map((item, place) =>
        Number(head["from"]) + place === size
          ? { ...item, statement: first?.statement?.toString("base64url") ?? "" }
          : item,
      );
      return { head: { ...body, items } };
    };
    deployment.state(SUSPEND);
    assert.equal(await refusalOf(signer.tick()), "ERR_REGISTRY_BODY");
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_REGISTRY");
    deployment.ledger.misbehave = undefined;
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_HANDLE");
  });

  it("a void statement changes nothing, and is said", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    // The ring may not speak for the operator.
    deployment.stateAsRing(SUSPEND);
    await signer.tick();
    const { fields } = await deployment.events.named("registry_void");
    assert.equal(fields["code"], "ERR_STATEMENT_AUTHOR");
    await deployment.client().request(WANTED);
  });

  it("THREAT-06: a ledger that withholds news is believed for maxUnwitnessed and no longer", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { ledger, clock } = deployment;
    const frozen = ledger.registry.size;
    const { checkpoint } = ledger.registry;
    deployment.state({ ...SUSPEND, status: "suspended" });
    ledger.misbehave = ({ op, head }, honest) =>
      op === "registry"
        ? { head: { from: head["from"], size: frozen, checkpoint, cosigned: "", items: [] } }
        : honest();
    // The witness has seen the suspension: what it says from now on is of a tree that we were not shown.
    for (let minute = 0; minute < 15; minute += 1) {
      await deployment.client().request(WANTED);
      clock.forward(60);
      await signer.tick();
    }
    await deployment.client().request(WANTED);
    clock.forward(1);
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_UNWITNESSED");
    ledger.misbehave = undefined;
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_HANDLE");
  });

  it("THREAT-06: a registry that the witness does not know stops the signer for good", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { ledger, clock } = deployment;
    const { registry } = ledger;
    const fork = registry.fork(registry.size);
    ledger.misbehave = ({ op, head }, honest) =>
      op === "state" && head["log"] === registry.origin
        ? changed(honest, { cosigned: fork.cosign(ledger.witness.signer, clock.seconds) })
        : honest();
    await signer.tick();
    ledger.misbehave = undefined;
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_REGISTRY");
    assert.equal(deployment.events.count("registry_refused"), 1);
  });

  it("a shorter registry, or one that does not lead to its root, is not taken and changes nothing", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const { ledger } = deployment;
    ledger.misbehave = ({ op }, honest) =>
      op === "registry" ? changed(honest, { size: 1 }) : honest();
    assert.equal(await refusalOf(signer.tick()), "ERR_WIRE_FRAME");
    await deployment.client().request(WANTED);
    deployment.state(SUSPEND);
    ledger.misbehave = ({ op }, honest) =>
      op === "registry"
        ? changed(honest, { checkpoint: ledger.registry.fork(3).checkpoint })
        : honest();
    assert.equal(await refusalOf(signer.tick()), "ERR_WIRE_FRAME");
    await deployment.client().request(WANTED);
    ledger.misbehave = undefined;
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_HANDLE");
  });

  it("readings that overlap do not disturb one another", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const client = deployment.client("drill");
    const now = deployment.clock.seconds;
    const window = { signFrom: now, signUntil: now + 60, verifyUntil: now + 120 };
    // Each registers two statements and reads them back, while the loop and this test read too.
    const registrations = Array.from({ length: 8 }, () => {
      const publicKey = publicJwk(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey);
      return client.request({ op: "drillKey", publicKey, tenant: TENANT, ...window });
    });
    await Promise.all([...registrations, signer.tick(), signer.tick(), signer.tick()]);
    await deployment.client().request({ ...WANTED, client: CLIENT });
    assert.equal(deployment.events.count("registry_refused"), 0);
  });

  it("THREAT-06: what was read counts at once, though it could not be told", async () => {
    await using deployment = await Deployment.start();
    let isFull = true;
    const events: EventSink = (name, fields) => {
      if (isFull && name === "registry_void") throw new ServiceError("ENOSPC", "Disk is full");
      deployment.events.sink(name, fields);
    };
    const signer = await deployment.openReady({ sink: events });
    // The ring may not speak for the operator: void, and said.
    deployment.stateAsRing(SUSPEND);
    deployment.state(SUSPEND);
    assert.equal(await refusalOf(signer.tick()), "ENOSPC");
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_HANDLE");
    isFull = false;
    await signer.tick();
    deployment.state({ ...SUSPEND, status: "active" });
    await signer.tick();
    await deployment.client().request(WANTED);
    deployment.state(SUSPEND);
    await signer.tick();
    assert.equal(await refusalOf(deployment.client().request(WANTED)), "ERR_SIGNER_HANDLE");
  });
});

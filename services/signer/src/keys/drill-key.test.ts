import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { publicJwk } from "@redoubt/keys";
import { parseKeyRecord } from "@redoubt/verify/record";
import type { JsonObject } from "@redoubt/verify/json";
import { list, text } from "../testing/answers.ts";
import { Deployment, refusalOf, SUSPENDED_TENANT, TENANT, WANTED } from "../testing/deployment.ts";

function p256(): JsonObject {
  return publicJwk(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey);
}

function wanted(deployment: Deployment, change: JsonObject = {}): JsonObject {
  const now = deployment.clock.seconds;
  return {
    op: "drillKey",
    publicKey: p256(),
    tenant: TENANT,
    signFrom: now - 60,
    signUntil: now + 900,
    verifyUntil: now + 1800,
    ...change,
  };
}

describe("drill keys (docs/spec/key-record.md §5)", () => {
  it("are for the drill audience, one tenant and this realm, whatever the caller says", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const request = wanted(deployment);
    const { head } = await deployment.client("drill").request(request);
    const record = parseKeyRecord(Buffer.from(text(head, "record"), "base64url"));
    assert.equal(record.kid, head["kid"]);
    assert.deepEqual(
      [record.realm, record.issuer, record.class, record.custody, record.audiences, record.alg],
      [
        "enterprise",
        "https://login.test/{tenantid}/v2.0",
        "at",
        "drill",
        ["urn:redoubt:drill"],
        "ES256",
      ],
    );
    assert.deepEqual(record.tenants, { ids: [TENANT] });
    assert.deepEqual(record.publicKey, request["publicKey"]);
  });

  const NOW = 0;
  const REFUSED: readonly (readonly [string, JsonObject, string])[] = [
    ["another tenant", { tenant: "9188040d-6c67-4c5b-b112-36a304b66dad" }, "ERR_SIGNER_HANDLE"],
    ["a suspended tenant", { tenant: SUSPENDED_TENANT }, "ERR_SIGNER_HANDLE"],
    ["another issuer", { issuer: "https://login.test/consumer/v2.0" }, "ERR_SIGNER_HANDLE"],
    ["one second too long", { verifyUntil: NOW + 3601 }, "ERR_SIGNER_TTL"],
    ["an audience", { audiences: ["api://one"] }, "ERR_REQUEST_MEMBER"],
    ["a realm", { realm: "consumer" }, "ERR_REQUEST_MEMBER"],
    ["a window backwards", { signFrom: NOW + 901 }, "ERR_REQUEST_MEMBER"],
    ["no window", { signUntil: NOW + 1800 }, "ERR_REQUEST_MEMBER"],
    ["no key", { publicKey: "x" }, "ERR_REQUEST_MEMBER"],
    [
      "a point off the curve",
      { publicKey: { kty: "EC", crv: "P-256", x: "AA", y: "AA" } },
      "ERR_REQUEST_MEMBER",
    ],
    [
      "another curve",
      { publicKey: publicJwk(generateKeyPairSync("ed25519").publicKey) },
      "ERR_REQUEST_MEMBER",
    ],
    ["a private key", { publicKey: { ...p256(), d: "AA" } }, "ERR_REQUEST_MEMBER"],
  ];
  it("what they are not for is refused with its code, and the registry does not grow", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const client = deployment.client("drill");
    for (const [name, change, code] of REFUSED) {
      const { size } = deployment.ledger.registry;
      const now = deployment.clock.seconds;
      const shifted = Object.fromEntries(
        Object.entries(change).map(([member, value]) => [
          member,
          typeof value === "number" ? now + value : value,
        ]),
      );
      const asked = client.request(wanted(deployment, shifted));
      assert.equal(await refusalOf(asked), code, name);
      assert.equal(deployment.ledger.registry.size, size, name);
    }
  });

  it("an hour exactly is taken, and a window that is wholly over", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const now = deployment.clock.seconds;
    const client = deployment.client("drill");
    await client.request(wanted(deployment, { verifyUntil: now + 3600 }));
    const past = { signFrom: 1, signUntil: 2, verifyUntil: 3 };
    const over = await client.request(wanted(deployment, past));
    const { head } = await client.request({ op: "fetchKeys" });
    const kids = list(head, "keys").map((key) => key["kid"]);
    assert.deepEqual([kids.length, kids.includes(over.head["kid"])], [3, false]);
    const issuer = "https://login.test/{tenantid}/v2.0";
    await client.request(wanted(deployment, { issuer }));
  });

  it("other callers register none", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    for (const caller of ["issuer", "operator"] as const)
      assert.equal(
        await refusalOf(deployment.client(caller).request(wanted(deployment))),
        "ERR_SIGNER_OP",
      );
  });

  it("never sign: not the standby's place, not by being activated, not with a signing key's name", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const client = deployment.client("drill");
    const kid = text((await client.request(wanted(deployment))).head, "kid");
    deployment.stateAsRing({
      type: "key-state",
      realm: "enterprise",
      kid,
      state: "active",
      reason: "x",
    });
    await signer.tick();
    assert.equal(
      (await deployment.events.named("registry_void")).fields["code"],
      "ERR_STATEMENT_CONFLICT",
    );
    const issued = await deployment.client().request(WANTED);
    assert.notEqual(issued.head["kid"], kid);
    // A public key that already has a record: the registry does not take it, and the caller is told so.
    const { head } = await deployment.client().request({ op: "fetchKeys" });
    const signing = list(head, "keys").find((key) => key["state"] === "active");
    const jwk = signing?.["jwk"];
    assert.ok(typeof jwk === "object" && jwk !== null && "x" in jwk && "y" in jwk);
    const publicKey = { kty: "EC", crv: "P-256", x: jwk.x, y: jwk.y };
    const asked = client.request({ ...wanted(deployment), publicKey });
    assert.equal(await refusalOf(asked), "ERR_SIGNER_REGISTRY_VOID");
    await signer.tick();
    assert.equal((await deployment.client().request(WANTED)).head["kid"], issued.head["kid"]);
  });

  it("are revoked after a taint, and one that is retained is left alone when its time is over", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const client = deployment.client("drill");
    const register = async (): Promise<string> =>
      text((await client.request(wanted(deployment))).head, "kid");
    const [bad, kept] = [await register(), await register()];
    const common = { realm: "enterprise", reason: "x" } as const;
    deployment.stateAsRing({ type: "key-state", kid: bad, state: "tainted", ...common });
    deployment.stateAsRing({ type: "key-retain", kid: kept, by: "ring", retain: true, ...common });
    await signer.tick();
    deployment.clock.forward(1800);
    await signer.tick();
    const told = deployment.events.all.filter(
      ({ fields }) => fields["kid"] === bad || fields["kid"] === kept,
    );
    assert.deepEqual(
      told.map(({ fields }) => [fields["kid"], fields["to"]]),
      [[bad, "revoked"]],
    );
    assert.equal(deployment.events.count("key_step_failed"), 0);
  });

  it("leave every key set when their time is over, and not before", async () => {
    await using deployment = await Deployment.start();
    const signer = await deployment.openReady();
    const client = deployment.client("drill");
    const kid = text((await client.request(wanted(deployment))).head, "kid");
    const isListed = async (): Promise<boolean> => {
      const { head } = await client.request({ op: "fetchKeys" });
      return list(head, "keys").some((key) => key["kid"] === kid);
    };
    deployment.clock.forward(1799);
    await signer.tick();
    assert.equal(await isListed(), true);
    deployment.clock.forward(1);
    await signer.tick();
    assert.equal(await isListed(), false);
    const { fields } = await deployment.events.first((event) => event.fields["kid"] === kid);
    assert.equal(fields["to"], "retired");
  });

  it("a flood of them ends at the drill's budget, and fetchKeys still answers with the signing keys", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady();
    const client = deployment.client("drill");
    const codes: string[] = [];
    for (let count = 0; count < 50; count += 1)
      codes.push(await refusalOf(client.request(wanted(deployment))));
    assert.deepEqual(codes.slice(-2), ["ERR_SIGNER_BUDGET", "ERR_SIGNER_BUDGET"]);
    assert.equal(codes.filter((code) => code === "no refusal").length, 48);
    const { head } = await client.request({ op: "fetchKeys" });
    const states = list(head, "keys").map((key) => text(key, "state"));
    assert.equal(states.includes("active"), true);
    assert.equal(states.length, 48);
    // The budget of tokens is another one.
    await deployment.client().request(WANTED);
  });
});

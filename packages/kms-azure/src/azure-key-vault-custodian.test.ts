import assert from "node:assert/strict";
import { after, it } from "node:test";
import { custodyContract } from "@redoubt/custody/testing";
import { FakeKeyVault, ORIGIN, refusal, type FakeAnswer } from "./testing/fake-key-vault.ts";
import {
  assertRefused,
  assertSignRefused,
  describeWithSdk,
  Harness,
  NOW_MS,
} from "./testing/harness.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A fault in the answers to one operation only: members of the body, of its key and of its attributes. */
function answering(
  asked: string,
  { key = {}, attributes = {}, ...rest }: { key?: Fields; attributes?: Fields; tags?: Fields },
) {
  return {
    after: ({ operation }: { operation: string }, answer: FakeAnswer): FakeAnswer => {
      if (operation !== asked) return answer;
      const body = Object(answer.body);
      return {
        ...answer,
        body: {
          ...body,
          ...rest,
          key: { ...body.key, ...key },
          attributes: { ...body.attributes, ...attributes },
        },
      };
    },
  };
}

describeWithSdk("Azure Key Vault", () => {
  const started = Harness.start();
  after(async () => (await started)[Symbol.asyncDispose]());
  custodyContract("Azure Key Vault", async () => (await started).open(), [
    "ES256",
    "RS256",
    "PS256",
  ]);
});

describeWithSdk("making a key in Azure Key Vault", () => {
  it("asks for a key in an HSM that only signs, never leaves, and says whose it is", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    assert.deepEqual([custodian.label, custodian.protection], ["kms", "hsm"]);
    for (const [alg, wanted] of [
      ["ES256", { kty: "EC-HSM", crv: "P-256" }],
      ["RS256", { kty: "RSA-HSM", key_size: 3072 }],
    ] as const) {
      const { id } = await custodian.generate(alg);
      assert.match(id, /^enterprise-[0-9a-f]{32}\/[0-9a-f]{32}$/);
      assert.deepEqual(harness.fake.requests.at(-1)?.body, {
        ...wanted,
        key_ops: ["sign"],
        attributes: { enabled: true, exportable: false },
        tags: { "redoubt-ring": "enterprise", "redoubt-alg": alg },
      });
    }
  });

  it("says that keys are in software where that was asked for", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open({ unsafeSoftwareKeys: true });
    const { id } = await custodian.generate("ES256");
    assert.equal(custodian.protection, "software");
    assert.equal(harness.fake.version(id).kty, "EC");
    await assertRefused(async () => (await harness.open()).open(id), "ERR_KEY_REFUSED", /EC-HSM/);
  });

  it("refuses Ed25519, which Azure does not have, without asking", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    await assertRefused(() => custodian.generate("Ed25519"), "ERR_KEY_ALG");
    assert.equal(harness.fake.requests.length, 0);
  });

  it("takes no other key than it asked for", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    const version = "0".repeat(32);
    for (const [change, code] of [
      [{ key: { kid: `${ORIGIN}/keys/other/${version}` } }, "ERR_KEY_CUSTODY"],
      [{ key: { kid: `https://other.vault.azure.net/keys/other/${version}` } }, "ERR_KEY_CUSTODY"],
      [{ key: { kid: "no address" } }, "ERR_KEY_CUSTODY"],
      [{ key: { kid: 7 } }, "ERR_KEY_CUSTODY"],
      [{ key: { kty: "EC" } }, "ERR_KEY_REFUSED"],
      [{ key: { kty: "RSA-HSM" } }, "ERR_KEY_REFUSED"],
      [{ key: { key_ops: ["sign", "decrypt"] } }, "ERR_KEY_REFUSED"],
      [{ key: { key_ops: "sign" } }, "ERR_KEY_CUSTODY"],
      [{ attributes: { exportable: true } }, "ERR_KEY_REFUSED"],
      [{ attributes: { enabled: false } }, "ERR_KEY_DISABLED"],
      [{ tags: { "redoubt-ring": "enterprise" } }, "ERR_KEY_REFUSED"],
      [{ tags: { "redoubt-ring": "other", "redoubt-alg": "ES256" } }, "ERR_KEY_UNKNOWN"],
      [{ key: { crv: "P-384" } }, "ERR_KEY_CUSTODY"],
      [{ key: { x: "AAAA" } }, "ERR_KEY_CUSTODY"],
      [{ key: { x: Buffer.alloc(32, 1).toString("base64url") } }, "ERR_KEY_CUSTODY"],
      [{ key: { y: undefined } }, "ERR_KEY_CUSTODY"],
    ] as const) {
      harness.fake.fault = answering("POST create", change);
      await assertRefused(() => custodian.generate("ES256"), code);
    }
    for (const key of [
      { e: "Aw" },
      { e: "AAAD" },
      { n: Buffer.alloc(255, 255).toString("base64url") },
      { n: Buffer.alloc(513, 255).toString("base64url") },
    ]) {
      harness.fake.fault = answering("POST create", { key });
      await assertRefused(() => custodian.generate("RS256"), "ERR_KEY_CUSTODY");
    }
  });
});

describeWithSdk("opening a key in Azure Key Vault", () => {
  it("pins the version: another one of the same name is another key", async () => {
    await using harness = await Harness.start();
    const { custodian, key } = await harness.withKey();
    const [name = ""] = key.id.split("/");
    await assertRefused(() => custodian.open(name), "ERR_KEY_UNKNOWN");
    await assertRefused(() => custodian.open(`${name}/${"0".repeat(32)}`), "ERR_KEY_UNKNOWN");
    const newer = harness.fake.addVersion(name, {});
    await key.sign(Buffer.from("x"));
    assert.equal(harness.fake.requests.at(-1)?.path, `/keys/${key.id}/sign`);
    assert.equal((await custodian.open(newer)).id, newer);
    harness.fake.fault = answering("GET version", { key: { kid: `${ORIGIN}/keys/${newer}` } });
    await assertRefused(() => custodian.open(key.id), "ERR_KEY_CUSTODY");
  });

  it("knows no key of another ring, and does not end one either", async () => {
    await using harness = await Harness.start();
    const { key, version } = await harness.withKey();
    const foreign = await harness.open({ ring: "consumer" });
    await assertRefused(() => foreign.open(key.id), "ERR_KEY_UNKNOWN");
    await foreign.destroy(key.id);
    assert.deepEqual(await foreign.list(), []);
    assert.equal(version.attributes.enabled, true);
    assert.equal(harness.fake.countOf("DELETE key"), 0);
  });

  it("uses a key within its dates only", async () => {
    await using harness = await Harness.start();
    const { custodian, key, version } = await harness.withKey();
    const now = NOW_MS / 1000;
    for (const [dates, isUsable] of [
      [{ nbf: now, exp: now + 1 }, true],
      [{ nbf: now + 1, exp: now + 2 }, false],
      [{ nbf: now - 1, exp: now }, false],
    ] as const) {
      Object.assign(version.attributes, dates);
      if (isUsable) assert.equal((await custodian.open(key.id)).id, key.id);
      else await assertRefused(() => custodian.open(key.id), "ERR_KEY_DISABLED");
    }
  });

  it("tells a disabled key from one that is gone", async () => {
    await using harness = await Harness.start();
    const { custodian, key, version } = await harness.withKey();
    version.attributes.enabled = false;
    await assertRefused(() => custodian.open(key.id), "ERR_KEY_DISABLED");
    await assertSignRefused(key, "ERR_KEY_DISABLED");
    version.attributes.enabled = true;
    assert.equal((await key.sign(Buffer.from("again"))).length, 64);
    harness.fake.keys.clear();
    await assertRefused(() => custodian.open(key.id), "ERR_KEY_UNKNOWN");
    await assertSignRefused(key, "ERR_KEY_UNKNOWN");
  });

  it("refuses a key that can leave or has other uses", async () => {
    await using harness = await Harness.start();
    const { custodian, key } = await harness.withKey();
    for (const change of [
      { attributes: { exportable: true } },
      { release_policy: { contentType: "application/json", data: "e30" } },
      { key: { key_ops: ["sign", "unwrapKey"] } },
      { tags: { "redoubt-ring": "enterprise", "redoubt-alg": "HS256" } },
    ]) {
      harness.fake.fault = answering("GET version", change);
      await assertRefused(() => custodian.open(key.id), "ERR_KEY_REFUSED");
    }
    harness.fake.fault = answering("GET version", { key: { key_ops: ["sign", "verify"] } });
    assert.equal((await custodian.open(key.id)).id, key.id);
  });

  it("looks at every key again, and ends the use of those that changed", async () => {
    await using harness = await Harness.start();
    const { custodian, key, version } = await harness.withKey();
    const other = harness.fake.version((await custodian.generate("ES256")).id);
    assert.deepEqual(await custodian.audit?.(), []);
    version.privateKey = other.privateKey;
    other.attributes.enabled = false;
    const [refusalOfKey, ...more] = (await custodian.audit?.()) ?? [];
    assert.equal(refusalOfKey?.id, key.id);
    assert.match(refusalOfKey.reason, /another public key/);
    assert.deepEqual(more, []);
    await assertSignRefused(key, "ERR_KEY_UNKNOWN");
  });
});

describeWithSdk("listing and ending keys in Azure Key Vault", () => {
  it("reads every page, of names and of versions, and only those of the ring", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    const foreign = await harness.open({ ring: "consumer" });
    await foreign.generate("ES256");
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await custodian.generate("ES256")).id);
    const [name = ""] = ids[0]?.split("/") ?? [];
    ids.push(harness.fake.addVersion(name, {}));
    // A newer version that is not ours hides nothing of ours.
    harness.fake.addVersion(name, { tags: {} });
    harness.fake.version(ids.at(-1) ?? "").attributes = { enabled: false };
    harness.fake.pageSize = 1;
    assert.deepEqual(await custodian.list(), ids.toSorted());
    assert.equal(harness.fake.countOf("GET keys"), 4);
    assert.equal(harness.fake.countOf("GET versions"), 3 + 1 + 1);
  });

  it("THREAT-26: refuses lists without end, of somebody else's names, or too long", async () => {
    await using harness = await Harness.start();
    const { custodian } = await harness.withKey();
    const tags = { "redoubt-ring": "enterprise" };
    const self = `${ORIGIN}/keys?api-version=2025-07-01&skip=0`;
    const item = { kid: `${ORIGIN}/keys/k`, tags };
    for (const [operation, body] of [
      ["GET keys", { value: [], nextLink: self }],
      ["GET keys", { value: Array.from({ length: 26 }, () => item) }],
      ["GET keys", { value: [{ kid: `${ORIGIN}/keys/a_b`, tags }] }],
      ["GET keys", { value: [{ kid: "nonsense", tags }] }],
      ["GET keys", { value: "none" }],
      ["GET keys", { value: [], nextLink: 7 }],
      ["GET versions", { value: [{ kid: `${ORIGIN}/keys/other/${"0".repeat(32)}`, tags }] }],
      ["GET versions", { value: [{ kid: `${ORIGIN}/keys/k`, tags }] }],
    ] as const) {
      harness.fake.fault.after = (request, answer) =>
        request.operation === operation ? { status: 200, body } : answer;
      await assertRefused(() => custodian.list(), "ERR_KEY_CUSTODY");
    }
  });

  it("THREAT-26: follows a list to no other place, and takes no token there", async () => {
    await using harness = await Harness.start();
    const { custodian } = await harness.withKey();
    await using other = await FakeKeyVault.start();
    for (const elsewhere of [
      "https://evil.example/keys",
      "http://redoubt-test.vault.azure.net/keys",
      "https://redoubt-test.vault.azure.net:8443/keys",
      "https://redoubt-test.vault.azure.net.evil.example/keys",
    ]) {
      harness.fake.fault.after = () => ({ status: 200, body: { value: [], nextLink: elsewhere } });
      const before = harness.fake.requests.length;
      await assertRefused(() => custodian.list(), "ERR_KEY_CUSTODY", /another address/);
      assert.equal(harness.fake.requests.length, before + 1);
    }
    assert.equal(other.requests.length, 0);
  });

  it("disables a key, deletes it, and is content where it is gone", async () => {
    await using harness = await Harness.start();
    const { custodian, key, version } = await harness.withKey();
    await custodian.destroy(key.id);
    assert.equal(version.attributes.enabled, false);
    assert.equal(harness.fake.countOf("PATCH version"), 1);
    assert.equal(harness.fake.deleted.has(key.id.split("/")[0] ?? ""), true);
    await custodian.destroy(key.id);
    assert.equal(harness.fake.countOf("DELETE key"), 1);
    await assertSignRefused(key, "ERR_KEY_UNKNOWN");
    await assertRefused(() => custodian.destroy("x/../y"), "ERR_KEY_UNKNOWN");
  });

  it("is content where somebody else is ending it, or the answer to its end was lost", async () => {
    await using harness = await Harness.start();
    const { custodian, key } = await harness.withKey();
    harness.fake.fault.before = ({ operation }) =>
      operation === "DELETE key" ? refusal(409, "Conflict", "ObjectIsBeingDeleted") : undefined;
    await custodian.destroy(key.id);
    const other = await custodian.generate("ES256");
    let isLost = false;
    harness.fake.fault = {
      after: ({ operation }, answer) => {
        if (operation !== "DELETE key" || isLost) return answer;
        isLost = true;
        return refusal(503, "Unavailable");
      },
    };
    await custodian.destroy(other.id);
    assert.equal(isLost, true);
    assert.equal(harness.fake.deleted.has(other.id.split("/")[0] ?? ""), true);
  });

  it("P6: does not delete a name that has other versions, but ends the use of its own", async () => {
    await using harness = await Harness.start();
    const { custodian, key, version } = await harness.withKey();
    harness.fake.addVersion(key.id.split("/")[0] ?? "", { attributes: { enabled: true } });
    await assertRefused(() => custodian.destroy(key.id), "ERR_KEY_REFUSED", /other versions/);
    assert.equal(version.attributes.enabled, false);
    assert.equal(harness.fake.countOf("DELETE key"), 0);
    await assertSignRefused(key, "ERR_KEY_UNKNOWN");
  });
});

import assert from "node:assert/strict";
import { after, it } from "node:test";
import { status } from "@grpc/grpc-js";
import { custodyContract } from "@redoubt/custody/testing";
import { openGoogleKmsCustodian } from "./index.ts";
import { FakeGoogleKms, GrpcFailure } from "./testing/fake-google-kms.ts";
import {
  assertRefused,
  assertSignRefused,
  describeWithSdk,
  Harness,
  KEY_RING,
} from "./testing/harness.ts";

describeWithSdk("Google Cloud KMS", () => {
  const started = FakeGoogleKms.start();
  after(async () => (await started)[Symbol.asyncDispose]());
  custodyContract("Google Cloud KMS", async () => {
    const { port } = await started;
    const settings = { keyRing: KEY_RING, ring: "enterprise", unsafeLoopbackPort: port };
    return openGoogleKmsCustodian(settings);
  });
});

describeWithSdk("making a key in Google Cloud KMS", () => {
  it("asks for a signing key in an HSM that bears the ring's label", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    assert.deepEqual([custodian.label, custodian.protection], ["kms", "hsm"]);
    const { id } = await custodian.generate("RS256");
    const request = harness.fake.calls.find(({ method }) => method === "createCryptoKey")?.request;
    assert.match(id, /^enterprise-[0-9a-f]{32}\/1$/);
    assert.equal(request?.parent, KEY_RING);
    assert.equal(request.cryptoKeyId, id.slice(0, -2));
    const { purpose, versionTemplate, labels } = Object(request.cryptoKey);
    assert.equal(purpose, "ASYMMETRIC_SIGN");
    assert.deepEqual(versionTemplate, {
      algorithm: "RSA_SIGN_PKCS1_3072_SHA256",
      protectionLevel: "HSM",
    });
    assert.deepEqual(labels, { "redoubt-ring": "enterprise" });
  });

  it("says that keys are in software where that was asked for", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open({ unsafeSoftwareKeys: true });
    const { id } = await custodian.generate("ES256");
    assert.equal(custodian.protection, "software");
    assert.equal(harness.fake.version(id).protectionLevel, "SOFTWARE");
  });

  it("waits until the HSM has generated it", async () => {
    await using harness = await Harness.start();
    harness.fake.pendingLooks = 3;
    const custodian = await harness.open();
    const { id } = await custodian.generate("ES256");
    assert.equal(harness.fake.version(id).state, "ENABLED");
    assert.deepEqual(harness.pauses, [500, 500, 500]);
  });

  it("does not wait for ever", async () => {
    await using harness = await Harness.start();
    harness.fake.pendingLooks = 100_000;
    const custodian = await harness.open();
    await assertRefused(() => custodian.generate("ES256"), "ERR_KEY_CUSTODY", /in time/);
    assert.equal(harness.pauses.length, 120);
    // It is there, and can be ended once the service lets it.
    const [id = ""] = await custodian.list();
    await assertRefused(() => custodian.open(id), "ERR_KEY_DISABLED");
    await assertRefused(() => custodian.destroy(id), "ERR_KEY_DISABLED");
  });

  it("fails where the HSM fails", async () => {
    await using harness = await Harness.start();
    harness.fake.fault.after = (method, answer) =>
      method === "getCryptoKeyVersion" ? { ...answer, state: "GENERATION_FAILED" } : answer;
    const custodian = await harness.open();
    await assertRefused(() => custodian.generate("ES256"), "ERR_KEY_DISABLED");
  });

  it("takes no other key than it asked for", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    for (const [asked, change, code] of [
      ["createCryptoKey", { name: `${KEY_RING}/cryptoKeys/other` }, "ERR_KEY_CUSTODY"],
      ["getCryptoKeyVersion", { algorithm: "RSA_SIGN_PSS_3072_SHA256" }, "ERR_KEY_CUSTODY"],
      ["getCryptoKeyVersion", { algorithm: "EC_SIGN_P384_SHA384" }, "ERR_KEY_CUSTODY"],
      ["getCryptoKeyVersion", { protectionLevel: "SOFTWARE" }, "ERR_KEY_REFUSED"],
      ["getCryptoKeyVersion", { importJob: "jobs/1" }, "ERR_KEY_REFUSED"],
      ["getCryptoKeyVersion", { name: "other" }, "ERR_KEY_CUSTODY"],
    ] as const) {
      harness.fake.fault.after = (method, answer) =>
        method === asked ? { ...answer, ...change } : answer;
      await assertRefused(() => custodian.generate("ES256"), code);
    }
  });
});

describeWithSdk("opening a key in Google Cloud KMS", () => {
  it("pins the version: another one of the same key is another key", async () => {
    await using harness = await Harness.start();
    const { custodian, key } = await harness.withKey();
    const other = key.id.replace(/1$/, "2");
    await assertRefused(() => custodian.open(other), "ERR_KEY_UNKNOWN");
    await assertRefused(() => custodian.open(key.id.replace(/\/1$/, "")), "ERR_KEY_UNKNOWN");
    for (const call of harness.fake.calls)
      if (call.method === "asymmetricSign") assert.match(String(call.request.name), /\/1$/);
  });

  it("knows no key of another ring, ring or purpose, and does not end one either", async () => {
    await using harness = await Harness.start();
    const { key, version } = await harness.withKey();
    const foreign = await harness.open({ ring: "consumer" });
    const elsewhere = await harness.open({ keyRing: `${KEY_RING}-2` });
    for (const custodian of [foreign, elsewhere]) {
      await assertRefused(() => custodian.open(key.id), "ERR_KEY_UNKNOWN");
      await custodian.destroy(key.id);
      assert.deepEqual(await custodian.list(), []);
    }
    const custodian = await harness.open();
    harness.fake.fault.after = (method, answer) =>
      method === "getCryptoKey" ? { ...answer, purpose: "MAC" } : answer;
    await assertRefused(() => custodian.open(key.id), "ERR_KEY_UNKNOWN");
    await custodian.destroy(key.id);
    assert.equal(version.state, "ENABLED");
    harness.fake.fault.after = (method, answer) =>
      method === "getCryptoKey" ? { ...answer, name: "other" } : answer;
    await assertRefused(() => custodian.open(key.id), "ERR_KEY_CUSTODY");
  });

  it("tells a disabled key from one that is gone", async () => {
    await using harness = await Harness.start();
    const { custodian, key, version } = await harness.withKey();
    for (const [state, code] of [
      ["DISABLED", "ERR_KEY_DISABLED"],
      ["PENDING_IMPORT", "ERR_KEY_DISABLED"],
      ["DESTROY_SCHEDULED", "ERR_KEY_UNKNOWN"],
      ["DESTROYED", "ERR_KEY_UNKNOWN"],
    ] as const) {
      version.state = state;
      await assertRefused(() => custodian.open(key.id), code);
      await assertSignRefused(key, code);
    }
    version.state = "ENABLED";
    assert.equal((await key.sign(Buffer.from("again"))).length, 64);
  });

  it("refuses software keys, imported keys and algorithms that it does not use", async () => {
    await using harness = await Harness.start();
    const software = await harness.open({ unsafeSoftwareKeys: true });
    const { id } = await software.generate("ES256");
    const custodian = await harness.open();
    await assertRefused(() => custodian.open(id), "ERR_KEY_REFUSED", /SOFTWARE, expected HSM/);
    const { key, version } = await harness.withKey();
    version.importJob = "importJobs/1";
    await assertRefused(() => custodian.open(key.id), "ERR_KEY_REFUSED", /imported/);
    version.importJob = "";
    harness.fake.fault.after = (method, answer) =>
      method === "getCryptoKeyVersion"
        ? { ...answer, algorithm: "RSA_SIGN_RAW_PKCS1_2048" }
        : answer;
    await assertRefused(() => custodian.open(key.id), "ERR_KEY_REFUSED", /algorithm/);
  });

  it("looks at every key again, and ends the use of those that changed", async () => {
    await using harness = await Harness.start();
    const { custodian, key, version } = await harness.withKey();
    const other = await custodian.generate("ES256");
    harness.fake.version(other.id).state = "DISABLED";
    assert.deepEqual(await custodian.audit?.(), []);
    const { publicKey } = harness.fake.version(other.id);
    const genuine = version.publicKey;
    Object.assign(version, { publicKey });
    const refusals = await custodian.audit?.();
    assert.deepEqual(
      refusals?.map(({ id, reason }) => [id, /another public key/.test(reason)]),
      [[key.id, true]],
    );
    Object.assign(version, { publicKey: genuine });
    await assertSignRefused(key, "ERR_KEY_UNKNOWN");
  });
});

describeWithSdk("listing and ending keys in Google Cloud KMS", () => {
  it("reads every page, of keys and of versions", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push((await custodian.generate("ES256")).id);
    const [first = ""] = ids;
    const version = harness.fake.version(first);
    const name = version.name.replace(/1$/, "2");
    const key = harness.fake.keys.get(version.name.replace("/cryptoKeyVersions/1", ""));
    key?.versions.push({ ...version, name });
    ids.push(first.replace(/1$/, "2"));
    harness.fake.pageSize = 1;
    assert.deepEqual(await custodian.list(), ids.toSorted());
    assert.equal(harness.fake.countOf("listCryptoKeys"), 3);
    assert.equal(harness.fake.countOf("listCryptoKeyVersions"), 4);
    version.state = "DESTROYED";
    assert.deepEqual(await custodian.list(), ids.slice(1).toSorted());
  });

  it("lists what is not ready or disabled: it can still be ended", async () => {
    await using harness = await Harness.start();
    const { custodian, key, version } = await harness.withKey();
    version.state = "DISABLED";
    assert.deepEqual(await custodian.list(), [key.id]);
    await custodian.destroy(key.id);
    assert.equal(version.state, "DESTROY_SCHEDULED");
    assert.deepEqual(await custodian.list(), []);
  });

  it("THREAT-26: refuses lists without end, of somebody else's names, or too long", async () => {
    await using harness = await Harness.start();
    const { custodian, key } = await harness.withKey();
    const item = { name: `${KEY_RING}/cryptoKeys/k`, labels: { "redoubt-ring": "enterprise" } };
    const version = { name: `${item.name}/cryptoKeyVersions/1`, state: "ENABLED" };
    for (const [asked, answer] of [
      ["listCryptoKeys", { cryptoKeys: [], nextPageToken: "again" }],
      ["listCryptoKeys", { cryptoKeys: [], nextPageToken: "x".repeat(4097) }],
      ["listCryptoKeys", { cryptoKeys: [{ ...item, name: "projects/q/cryptoKeys/k" }] }],
      ["listCryptoKeys", { cryptoKeys: Array.from({ length: 101 }, () => item) }],
      ["listCryptoKeyVersions", { cryptoKeyVersions: [{ ...version, name: "k/1" }] }],
      [
        "listCryptoKeyVersions",
        { cryptoKeyVersions: [{ ...version, name: `${item.name}/cryptoKeyVersions/01` }] },
      ],
    ] as const) {
      harness.fake.fault.after = (method, right) => (method === asked ? answer : right);
      await assertRefused(() => custodian.list(), "ERR_KEY_CUSTODY");
    }
    assert.equal(harness.fake.countOf("listCryptoKeys"), 100 + 5);
    // A label that the service's filter should have kept out.
    harness.fake.fault.after = (method, right) =>
      method === "listCryptoKeys" ? { cryptoKeys: [{ ...item, labels: {} }] } : right;
    assert.deepEqual(await custodian.list(), []);
    assert.match(key.id, /^enterprise-/);
  });

  it("ends a key once, and is content where it is gone", async () => {
    await using harness = await Harness.start();
    const { custodian, key, version } = await harness.withKey();
    await custodian.destroy(key.id);
    assert.equal(version.state, "DESTROY_SCHEDULED");
    await custodian.destroy(key.id);
    await custodian.destroy(key.id.replace(/1$/, "7"));
    await assertSignRefused(key, "ERR_KEY_UNKNOWN");
    await assertRefused(() => custodian.destroy("../x"), "ERR_KEY_UNKNOWN");
  });

  it("says that a policy forbids it, where one does", async () => {
    await using harness = await Harness.start();
    const { custodian, key, version } = await harness.withKey();
    harness.fake.fault.before = (method) => {
      if (method === "destroyCryptoKeyVersion")
        throw new GrpcFailure(status.FAILED_PRECONDITION, "disable it first");
    };
    await assertRefused(() => custodian.destroy(key.id), "ERR_KEY_DENIED", /ENABLED/);
    version.state = "DESTROYED";
    await custodian.destroy(key.id);
  });

  it("does not believe that a key is ended which is not", async () => {
    await using harness = await Harness.start();
    const { custodian, key } = await harness.withKey();
    harness.fake.fault.after = (method, answer) =>
      method === "destroyCryptoKeyVersion" ? { ...answer, state: "ENABLED" } : answer;
    await assertRefused(() => custodian.destroy(key.id), "ERR_KEY_CUSTODY");
    // Nothing of it is left to use here all the same.
    await assertSignRefused(key, "ERR_KEY_UNKNOWN");
  });
});

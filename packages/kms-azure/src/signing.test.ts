import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { it } from "node:test";
import { derOf } from "@redoubt/custody/testing/sign-digest";
import { fakeSignature, ORIGIN, refusal, type FakeAnswer } from "./testing/fake-key-vault.ts";
import {
  assertRefused,
  assertSignRefused,
  describeWithSdk,
  Harness,
  input,
} from "./testing/harness.ts";

const digest = createHash("sha256").update(input).digest();

function text(signature: Buffer | undefined) {
  return { value: signature?.toString("base64url") };
}

/** A fault in the answers to signing only. */
function answering(change: Readonly<Record<string, unknown>>) {
  return {
    after: ({ operation }: { operation: string }, answer: FakeAnswer): FakeAnswer =>
      operation === "POST sign"
        ? { status: 200, body: { ...Object(answer.body), ...change } }
        : answer,
  };
}

describeWithSdk("signing in Azure Key Vault", () => {
  it("sends the digest and the one algorithm of the key, to exactly the version", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    for (const alg of ["ES256", "PS256"] as const) {
      const key = await custodian.generate(alg);
      await key.sign(input);
      const { path, body } = harness.fake.requests.at(-1) ?? {};
      assert.equal(path, `/keys/${key.id}/sign`);
      assert.deepEqual(body, { alg, value: digest.toString("base64url") });
      assert.equal(harness.fake.countOf("GET version"), 0);
    }
  });

  it("refuses an answer that is not the one asked for", async () => {
    await using harness = await Harness.start();
    const { custodian, key, version } = await harness.withKey();
    const other = await custodian.generate("ES256");
    const own = fakeSignature("ES256", digest, version.privateKey);
    const changes = [
      ["other key's name", { kid: `${ORIGIN}/keys/${other.id}` }, "ERR_KEY_CUSTODY"],
      ["other version", { kid: `${ORIGIN}/keys/${key.id.replace(/.$/, "x")}` }, "ERR_KEY_CUSTODY"],
      ["other vault", { kid: `https://b.vault.azure.net/keys/${key.id}` }, "ERR_KEY_CUSTODY"],
      ["no name", { kid: undefined }, "ERR_KEY_CUSTODY"],
      ["no signature", { value: undefined }, "ERR_KEY_CUSTODY"],
      ["a number", { value: 7 }, "ERR_KEY_CUSTODY"],
      ["empty", { value: "" }, "ERR_KEY_CUSTODY"],
      [
        "other key",
        text(fakeSignature("ES256", digest, harness.fake.version(other.id).privateKey)),
        "ERR_KEY_SIGNATURE",
      ],
      [
        "other digest",
        text(fakeSignature("ES256", Buffer.alloc(32, 1), version.privateKey)),
        "ERR_KEY_SIGNATURE",
      ],
      ["DER", text(own && derOf(own)), "ERR_KEY_SIGNATURE"],
      ["short", text(own?.subarray(1)), "ERR_KEY_SIGNATURE"],
      ["long", text(own && Buffer.concat([own, Buffer.of(0)])), "ERR_KEY_SIGNATURE"],
    ] as const;
    for (const [name, change, code] of changes) {
      harness.fake.fault = answering(change);
      await assert.rejects(async () => key.sign(input), { name: "KeyError", code }, name);
    }
    harness.fake.fault = {};
    assert.equal((await key.sign(input)).length, 64);
    // None of these is worth asking again.
    assert.equal(harness.fake.countOf("POST sign"), changes.length + 1);
  });

  it("P1: lets no RSA signature of the other padding out", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    for (const [alg, other] of [
      ["RS256", "PS256"],
      ["PS256", "RS256"],
    ] as const) {
      const key = await custodian.generate(alg);
      const { privateKey } = harness.fake.version(key.id);
      const value = fakeSignature(other, digest, privateKey)?.toString("base64url");
      harness.fake.fault = answering({ value });
      await assertSignRefused(key, "ERR_KEY_SIGNATURE");
      harness.fake.fault = {};
      assert.equal((await key.sign(input)).length, 384);
    }
  });
});

describeWithSdk("an Azure Key Vault that fails", () => {
  const outcomes: readonly (readonly [FakeAnswer, string, number])[] = [
    [refusal(400, "BadParameter"), "ERR_KEY_CUSTODY", 1],
    [refusal(401, "Unauthorized"), "ERR_KEY_DENIED", 1],
    [refusal(403, "Forbidden", "ForbiddenByRbac"), "ERR_KEY_DENIED", 1],
    [refusal(403, "Forbidden"), "ERR_KEY_DENIED", 1],
    [refusal(403, "Forbidden", "KeyDisabled"), "ERR_KEY_DISABLED", 1],
    [refusal(404, "KeyNotFound"), "ERR_KEY_UNKNOWN", 1],
    [refusal(409, "Conflict", "ObjectIsDeletedButRecoverable"), "ERR_KEY_UNKNOWN", 1],
    [refusal(409, "Conflict"), "ERR_KEY_CUSTODY", 1],
    [refusal(408, "Timeout"), "ERR_KEY_BUSY", 4],
    [refusal(429, "Throttled"), "ERR_KEY_BUSY", 4],
    [refusal(500, "InternalError"), "ERR_KEY_BUSY", 4],
    [{ status: 502, raw: Buffer.from("<html>") }, "ERR_KEY_BUSY", 4],
    [{ status: 503 }, "ERR_KEY_BUSY", 4],
    [{ status: 302, headers: { location: "https://evil.example/" } }, "ERR_KEY_CUSTODY", 1],
    [{ status: 307, headers: { location: `${ORIGIN}/keys` } }, "ERR_KEY_CUSTODY", 1],
    [{ status: 200, raw: Buffer.from("not JSON") }, "ERR_KEY_CUSTODY", 1],
    [{ status: 200, raw: Buffer.from("[]") }, "ERR_KEY_CUSTODY", 1],
    [{ status: 200, raw: Buffer.alloc(0) }, "ERR_KEY_CUSTODY", 1],
    [{ status: 200, body: {} }, "ERR_KEY_CUSTODY", 1],
  ];
  it("is told apart by its answer, and tried again only where that can help", async () => {
    await using harness = await Harness.start();
    const { key } = await harness.withKey();
    await key.sign(input);
    for (const [answer, code, tries] of outcomes) {
      const before = harness.fake.countOf("POST sign");
      harness.fake.fault.before = () => answer;
      const retryAfterSeconds = code === "ERR_KEY_BUSY" ? 1 : undefined;
      const name = `${answer.status} ${code}`;
      await assert.rejects(async () => key.sign(input), { code, retryAfterSeconds }, name);
      assert.equal(harness.fake.countOf("POST sign") - before, tries, name);
    }
    harness.fake.fault = {};
    assert.equal((await key.sign(input)).length, 64);
  });

  it("THREAT-26: is heard up to so many bytes, and never unpacked", async () => {
    await using harness = await Harness.start();
    const { key } = await harness.withKey();
    for (const [bytes, isHeard] of [
      [1 << 20, true],
      [(1 << 20) + 1, false],
    ] as const) {
      harness.fake.fault.after = (_, { body }) => ({
        status: 200,
        raw: Buffer.from(JSON.stringify(body).padEnd(bytes)),
      });
      if (isHeard) assert.equal((await key.sign(input)).length, 64);
      else await assertRefused(async () => key.sign(input), "ERR_KEY_CUSTODY", /very long/);
    }
    const headers = { "content-encoding": "gzip" };
    harness.fake.fault.after = (_, answer) => ({ ...answer, headers });
    await assertRefused(async () => key.sign(input), "ERR_KEY_CUSTODY", /compressed/);
  });

  it("is given another token once, and no more", async () => {
    await using harness = await Harness.start();
    const { key } = await harness.withKey();
    await key.sign(input);
    const before = harness.fake.countOf("POST sign");
    const headers = { "www-authenticate": harness.fake.challenge };
    harness.fake.fault.before = () => ({ ...refusal(401, "Unauthorized"), headers });
    await assertSignRefused(key, "ERR_KEY_DENIED");
    assert.equal(harness.fake.countOf("POST sign") - before, 2);
  });

  it("is waited for as long as it asks", async () => {
    await using harness = await Harness.start();
    const { key } = await harness.withKey();
    const answers = [refusal(429, "Throttled", "", "2"), refusal(429, "Throttled")];
    harness.fake.fault.before = () => answers.shift();
    assert.equal((await key.sign(input)).length, 64);
    assert.deepEqual(harness.pauses, [2000, 200]);
    harness.fake.fault.before = () => refusal(429, "Throttled", "", "60");
    const busy = { code: "ERR_KEY_BUSY", retryAfterSeconds: 60 };
    await assert.rejects(async () => key.sign(input), busy);
    assert.equal(harness.pauses.length, 2);
  });

  it("makes a key once: again only where it refused to, never where the answer was lost", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    for (const [status, tries] of [
      [429, 4],
      [503, 1],
    ] as const) {
      const before = harness.fake.countOf("POST create");
      harness.fake.fault.before = () => refusal(status, "No");
      await assertRefused(() => custodian.generate("ES256"), "ERR_KEY_BUSY");
      assert.equal(harness.fake.countOf("POST create") - before, tries);
    }
    assert.equal(harness.fake.keys.size, 0);
  });

  it("never says that there is no key because it is away", async () => {
    await using harness = await Harness.start();
    const { custodian, key } = await harness.withKey();
    harness.fake.fault.before = () => refusal(503, "Away");
    for (const use of [
      () => custodian.list(),
      () => custodian.open(key.id),
      () => custodian.destroy(key.id),
    ])
      await assertRefused(use, "ERR_KEY_BUSY");
  });

  it("ends an attempt on time, and recovers when it answers again", async () => {
    await using harness = await Harness.start();
    const { key } = await harness.withKey({ attemptTimeoutMs: 1500, maxAttempts: 2 });
    await key.sign(input);
    const held = Promise.withResolvers<void>();
    harness.fake.fault.before = async () => held.promise;
    await assertSignRefused(key, "ERR_KEY_BUSY");
    harness.fake.fault = {};
    held.resolve();
    assert.equal((await key.sign(input)).length, 64);
  });

  it("lets so many calls through at once, and no more behind them than it may", async () => {
    await using harness = await Harness.start();
    const { key } = await harness.withKey({ maxConcurrent: 2, maxWaiting: 3 });
    await key.sign(input);
    const held = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    let atService = 0;
    harness.fake.fault.before = async () => {
      if (++atService === 2) reached.resolve();
      await held.promise;
    };
    const signatures = Array.from({ length: 5 }, async () => key.sign(input));
    await assertSignRefused(key, "ERR_KEY_BUSY");
    await reached.promise;
    assert.equal(atService, 2);
    held.resolve();
    for (const signature of await Promise.all(signatures)) assert.equal(signature.length, 64);
  });

  it("leaves nobody waiting when custody is closed", async () => {
    await using harness = await Harness.start();
    const { custodian, key } = await harness.withKey({ maxConcurrent: 1 });
    const held = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    harness.fake.fault.before = async () => {
      reached.resolve();
      await held.promise;
    };
    const uses = [() => key.sign(input), () => custodian.open(key.id), () => custodian.list()];
    const outcomesOfAll = Promise.allSettled(uses.map(async (use) => use()));
    await reached.promise;
    await custodian[Symbol.asyncDispose]();
    for (const outcome of await outcomesOfAll) {
      assert.equal(outcome.status, "rejected");
      assert.equal(outcome.reason.code, "ERR_KEY_UNKNOWN");
    }
    held.resolve();
  });
});

import assert from "node:assert/strict";
import { createHash, createPublicKey } from "node:crypto";
import { describe, it } from "node:test";
import { status } from "@grpc/grpc-js";
import { readPublicKey } from "./algorithm.ts";
import { isRecord } from "./sdk.ts";
import { checksum, GrpcFailure } from "./testing/fake-google-kms.ts";
import { fakeSignature } from "./testing/fake-keys.ts";
import {
  assertRefused,
  assertSignRefused,
  describeWithSdk,
  Harness,
  input,
} from "./testing/harness.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A fault in the answers to one method only. */
function answering(asked: string, change: (answer: Fields) => Fields) {
  return {
    after: (method: string, answer: Fields) => (method === asked ? change(answer) : answer),
  };
}

function withSignature(signature: Uint8Array): Fields {
  return { signature, signatureCrc32c: checksum(signature) };
}

function pem(text: string): Fields {
  return { pem: text, pemCrc32c: checksum(Buffer.from(text)) };
}

/** A public key of RSA that nobody has the private one of. */
function rsaPem(bits: number, e: string): string {
  const n = Buffer.alloc(bits / 8, 0xa5).toString("base64url");
  const key = createPublicKey({ key: { kty: "RSA", n, e }, format: "jwk" });
  return key.export({ type: "spki", format: "pem" }).toString();
}

describeWithSdk("signing in Google Cloud KMS", () => {
  it("sends the digest and its checksum, to exactly the version", async () => {
    await using harness = await Harness.start();
    const { key, version } = await harness.withKey();
    assert.equal((await key.sign(input)).length, 64);
    const request = harness.fake.calls.at(-1)?.request;
    const digest = createHash("sha256").update(input).digest();
    assert.equal(request?.name, version.name);
    assert.deepEqual(isRecord(request.digest) && request.digest.sha256, digest);
    assert.equal(String(Object(request.digestCrc32c).value), String(checksum(digest).value));
    assert.equal(harness.fake.countOf("asymmetricSign"), 1);
  });

  it("refuses an answer that is not the one asked for", async () => {
    await using harness = await Harness.start();
    const { custodian, key, version } = await harness.withKey();
    const other = harness.fake.version((await custodian.generate("ES256")).id);
    const digest = createHash("sha256").update(input).digest();
    const own = fakeSignature(version, digest);
    const changes: readonly (readonly [string, Fields, string])[] = [
      ["other name", { name: other.name }, "ERR_KEY_CUSTODY"],
      ["no name", { name: "" }, "ERR_KEY_CUSTODY"],
      ["made in software", { protectionLevel: "SOFTWARE" }, "ERR_KEY_CUSTODY"],
      ["other key", withSignature(fakeSignature(other, digest)), "ERR_KEY_SIGNATURE"],
      [
        "other digest",
        withSignature(fakeSignature(version, digest.toReversed())),
        "ERR_KEY_SIGNATURE",
      ],
      ["no signature", withSignature(Buffer.alloc(0)), "ERR_KEY_SIGNATURE"],
      ["not DER", withSignature(Buffer.alloc(70, 1)), "ERR_KEY_SIGNATURE"],
      [
        "DER with more behind",
        withSignature(Buffer.concat([own, Buffer.of(0)])),
        "ERR_KEY_SIGNATURE",
      ],
      ["DER of long form", withSignature(longForm(own)), "ERR_KEY_SIGNATURE"],
      ["cut DER", withSignature(own.subarray(0, -1)), "ERR_KEY_SIGNATURE"],
      ["64 raw bytes", withSignature(await key.sign(input)), "ERR_KEY_SIGNATURE"],
    ];
    for (const [name, change, code] of changes) {
      harness.fake.fault = answering("asymmetricSign", (answer) => ({ ...answer, ...change }));
      await assert.rejects(async () => key.sign(input), { name: "KeyError", code }, name);
    }
    harness.fake.fault = {};
    assert.equal((await key.sign(input)).length, 64);
    // None of these is worth asking again.
    assert.equal(harness.fake.countOf("asymmetricSign"), changes.length + 2);
  });

  it("asks again where an answer was damaged on the way, and does so only so often", async () => {
    await using harness = await Harness.start();
    const { key } = await harness.withKey();
    const damages: readonly Fields[] = [
      { signatureCrc32c: { value: "1" } },
      { signatureCrc32c: null },
      { verifiedDigestCrc32c: false },
    ];
    for (const damage of damages) {
      let left = 2;
      const damaging = (answer: Fields): Fields => (left-- > 0 ? { ...answer, ...damage } : answer);
      harness.fake.fault = answering("asymmetricSign", damaging);
      assert.equal((await key.sign(input)).length, 64);
      left = 100;
      const before = harness.fake.countOf("asymmetricSign");
      await assertRefused(async () => key.sign(input), "ERR_KEY_CUSTODY", /damaged/);
      assert.equal(harness.fake.countOf("asymmetricSign") - before, 4);
    }
  });

  it("holds Ed25519 to the checksum of the data, not of a digest", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    const key = await custodian.generate("Ed25519");
    const change = { verifiedDataCrc32c: false, verifiedDigestCrc32c: true };
    harness.fake.fault = answering("asymmetricSign", (answer) => ({ ...answer, ...change }));
    await assertSignRefused(key, "ERR_KEY_CUSTODY");
  });

  it("believes no public key that is damaged, of another version, or of another algorithm", async () => {
    await using harness = await Harness.start();
    const { custodian, key } = await harness.withKey();
    const rsa = harness.fake.version((await custodian.generate("RS256")).id).publicKey;
    const otherPem = rsa.export({ type: "spki", format: "pem" }).toString();
    const privatePem = harness.fake
      .version(key.id)
      .privateKey.export({ type: "pkcs8", format: "pem" })
      .toString();
    const wrong = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    for (const change of [
      { pemCrc32c: { value: "1" } },
      { pemCrc32c: { value: "-1" } },
      { name: "other" },
      { algorithm: "EC_SIGN_P384_SHA384" },
      { protectionLevel: "SOFTWARE" },
      pem(otherPem),
      pem(privatePem),
      pem(wrong),
      pem(""),
      pem(otherPem.repeat(2)),
    ]) {
      harness.fake.fault = answering("getPublicKey", (answer) => ({ ...answer, ...change }));
      await assertRefused(() => custodian.open(key.id), "ERR_KEY_CUSTODY");
    }
  });
});

// The same numbers with their length in two bytes: BER, not DER.
function longForm(der: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0x30, 0x81, der.length - 2), der.subarray(2)]);
}

describe("a public key in Google Cloud KMS", () => {
  it("is of 2048 to 4096 bits, and of the usual exponent, where it is one of RSA", () => {
    for (const bits of [2048, 4096])
      assert.equal(readPublicKey("PS256", rsaPem(bits, "AQAB")).asymmetricKeyType, "rsa");
    for (const pemOfKey of [rsaPem(2040, "AQAB"), rsaPem(4104, "AQAB"), rsaPem(2048, "Aw")])
      assert.throws(() => readPublicKey("PS256", pemOfKey), { code: "ERR_KEY_CUSTODY" });
  });
});

describeWithSdk("a Google Cloud KMS that fails", () => {
  const outcomes: readonly (readonly [keyof typeof status, string, number])[] = [
    ["CANCELLED", "ERR_KEY_BUSY", 4],
    ["UNKNOWN", "ERR_KEY_CUSTODY", 1],
    ["INVALID_ARGUMENT", "ERR_KEY_CUSTODY", 1],
    ["DEADLINE_EXCEEDED", "ERR_KEY_BUSY", 4],
    ["NOT_FOUND", "ERR_KEY_UNKNOWN", 1],
    ["PERMISSION_DENIED", "ERR_KEY_DENIED", 1],
    ["RESOURCE_EXHAUSTED", "ERR_KEY_BUSY", 4],
    ["FAILED_PRECONDITION", "ERR_KEY_DISABLED", 1],
    ["ABORTED", "ERR_KEY_BUSY", 4],
    ["UNIMPLEMENTED", "ERR_KEY_CUSTODY", 1],
    ["INTERNAL", "ERR_KEY_BUSY", 4],
    ["UNAVAILABLE", "ERR_KEY_BUSY", 4],
    ["DATA_LOSS", "ERR_KEY_CUSTODY", 1],
    ["UNAUTHENTICATED", "ERR_KEY_DENIED", 1],
  ];
  it("is told apart by its status, and tried again only where that can help", async () => {
    await using harness = await Harness.start();
    const { key } = await harness.withKey();
    for (const [name, code, tries] of outcomes) {
      const before = harness.fake.countOf("asymmetricSign");
      harness.fake.fault.before = (method) => {
        if (method === "asymmetricSign") throw new GrpcFailure(status[name], "because");
      };
      const retryAfterSeconds = code === "ERR_KEY_BUSY" ? 1 : undefined;
      await assert.rejects(async () => key.sign(input), { code, retryAfterSeconds }, name);
      assert.equal(harness.fake.countOf("asymmetricSign") - before, tries, name);
    }
  });

  it("is waited for while it throttles", async () => {
    await using harness = await Harness.start();
    const { key } = await harness.withKey();
    let left = 2;
    harness.fake.fault.before = () => {
      if (left-- > 0) throw new GrpcFailure(status.RESOURCE_EXHAUSTED, "quota");
    };
    assert.equal((await key.sign(input)).length, 64);
    assert.deepEqual(harness.pauses, [100, 200]);
  });

  it("makes a key once: again only where it refused to, never where the answer was lost", async () => {
    await using harness = await Harness.start();
    const custodian = await harness.open();
    for (const [code, tries, name] of [
      [status.RESOURCE_EXHAUSTED, 4, "refused"],
      [status.UNAVAILABLE, 1, "lost"],
    ] as const) {
      const before = harness.fake.countOf("createCryptoKey");
      harness.fake.fault.before = () => {
        throw new GrpcFailure(code, "because");
      };
      await assertRefused(() => custodian.generate("ES256"), "ERR_KEY_BUSY");
      assert.equal(harness.fake.countOf("createCryptoKey") - before, tries, name);
    }
  });

  it("never says that there is no key because it is away", async () => {
    await using harness = await Harness.start();
    const { custodian, key } = await harness.withKey();
    harness.fake.fault.before = () => {
      throw new GrpcFailure(status.UNAVAILABLE, "away");
    };
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

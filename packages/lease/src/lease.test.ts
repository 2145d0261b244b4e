import assert from "node:assert/strict";
import { createHash, createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalBytes, encodeCanonical, ServiceError } from "@redoubt/base";
import {
  type Binding,
  boundData,
  encodeLease,
  holderKeyOf,
  isHolder,
  type Lease,
  openGrant,
  openSealed,
  parseLease,
  proveHolder,
  rawPublicKey,
  seal,
} from "./index.ts";
import { TestGrantLog } from "./testing/test-log.ts";

const holder = generateKeyPairSync("ed25519").privateKey;
const lease: Lease = {
  v: 1,
  type: "lease",
  realm: "consumer",
  signer: "signer-consumer",
  holderKey: holderKeyOf(holder),
  platform: "snp",
  hardware: true,
  issued: 1_800_000_000,
  expires: 1_800_000_900,
  registry: { size: 12, root: Buffer.alloc(32, 1) },
  minVersion: 3,
  evidence: Buffer.alloc(32, 2),
};
const FORMAT = { name: "ServiceError", code: "ERR_LEASE_FORMAT" };
const PROOF = { name: "ServiceError", code: "ERR_LEASE_PROOF" };

function isAbout(text: string): (error: Error) => boolean {
  return ({ cause }) => cause instanceof RangeError && cause.message.startsWith(text);
}

test("a lease is read as it was written, and nothing else is one", () => {
  const bytes = encodeLease(lease);
  assert.deepEqual(parseLease(bytes), lease);
  const object = JSON.parse(bytes.toString());
  for (const change of [
    { v: 2 },
    { type: "binding" },
    { realm: "Consumer" },
    { expires: lease.issued },
    { expires: lease.issued + 901 },
    { minVersion: -1 },
    { holderKey: "AAAA" },
    { other: 1 },
    { registry: { size: 1 } },
  ])
    assert.throws(
      () => parseLease(canonicalBytes({ ...object, ...change })),
      FORMAT,
      JSON.stringify(change),
    );
  assert.throws(() => parseLease(Buffer.from(`${bytes.toString()} `)), FORMAT);
  // Canonical, and so long that nothing of it is read.
  const long = encodeCanonical({ ...object, evidence: "A".repeat(2048) });
  assert.throws(() => parseLease(Buffer.from(long)), isAbout("Too long"));
  const forever = canonicalBytes({ ...object, expires: lease.issued + 901 });
  assert.throws(() => parseLease(forever), isAbout("Lasts for too long"));
  assert.throws(() => encodeLease({ ...lease, expires: lease.issued + 901 }), RangeError);
  assert.throws(() => encodeLease({ ...lease, expires: lease.issued }), RangeError);
});

test("P5: a lease counts only in a tree that broker and ledger signed", () => {
  const log = new TestGrantLog();
  const bytes = encodeLease(lease);
  for (const index of [0, 1, 2, 3, 4, 5, 6, 7])
    assert.deepEqual(openGrant(log.grant(bytes), log), {
      lease,
      digest: createHash("sha256").update(bytes).digest(),
      index,
      commitment: createHash("sha256").update("evidence").digest(),
    });
  const { log: logSigner, writer } = log.signers;
  const { logKey, writerKey } = log;
  assert.throws(() => openGrant(log.grant(bytes, [logSigner]), log), PROOF);
  assert.throws(() => openGrant(log.grant(bytes, [writer]), log), PROOF);
  const other = new TestGrantLog();
  assert.throws(() => openGrant(other.grant(bytes), log), PROOF);
  assert.throws(
    () => openGrant(log.grant(bytes), { logKey, writerKey, origin: "redoubt.test/other" }),
    PROOF,
  );
  assert.throws(() => openGrant("", log), PROOF);
  assert.throws(() => openGrant(log.grant(bytes).replace(/^extra .*\n/m, ""), log), PROOF);
  assert.throws(() => openGrant(log.grant(Buffer.from("{}")), log), FORMAT);
});

test("P5: another lease than the one that was logged is not proven", () => {
  const log = new TestGrantLog();
  const grant = log.grant(encodeLease(lease));
  const extra = Buffer.from(/^extra (.*)$/m.exec(grant)?.[1] ?? "", "base64");
  const other = encodeLease({ ...lease, realm: "enterprise" });
  const changed = Buffer.concat([extra.subarray(0, 32), other]).toString("base64");
  assert.throws(() => openGrant(grant.replace(/^extra .*$/m, `extra ${changed}`), log), PROOF);
});

test("THREAT-14: a lease is used by its holder, for one challenge", () => {
  const log = new TestGrantLog();
  const grant = openGrant(log.grant(encodeLease(lease)), log);
  const challenge = randomBytes(32);
  const proof = proveHolder(holder, challenge, grant.digest);
  assert.equal(isHolder(grant, challenge, proof), true);
  assert.equal(isHolder(grant, randomBytes(32), proof), false);
  assert.equal(isHolder({ ...grant, digest: randomBytes(32) }, challenge, proof), false);
  const thief = generateKeyPairSync("ed25519").privateKey;
  assert.equal(isHolder(grant, challenge, proveHolder(thief, challenge, grant.digest)), false);
  assert.equal(isHolder(grant, challenge, Buffer.alloc(3)), false);
});

const binding: Binding = {
  realm: "consumer",
  signer: "signer-consumer",
  encryptionKey: Buffer.alloc(32, 3),
  holderKey: Buffer.alloc(32, 4),
  kids: ["a".repeat(43)],
};

test("THREAT-14: what evidence is over tells nonce, realm, signer and keys apart", () => {
  const nonce = Buffer.alloc(32, 5);
  const text =
    '{"encryptionKey":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM",' +
    `"holderKey":"BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ","kids":["${"a".repeat(43)}"],` +
    '"realm":"consumer","signer":"signer-consumer"}';
  const digest = createHash("sha256").update(text).digest();
  const expected = createHash("sha256").update("attest-v1\0").update(nonce).update(digest).digest();
  assert.deepEqual(boundData(nonce, binding), expected);
  for (const other of [
    { realm: "enterprise" },
    { signer: "signer-enterprise" },
    { encryptionKey: Buffer.alloc(32) },
    { holderKey: Buffer.alloc(32) },
    { kids: [] },
  ])
    assert.notDeepEqual(boundData(nonce, { ...binding, ...other }), expected);
  assert.notDeepEqual(boundData(Buffer.alloc(32), binding), expected);
  assert.throws(() => boundData(Buffer.alloc(31), binding), RangeError);
});

function recipient() {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  return { privateKey, raw: rawPublicKey(publicKey, "X25519") };
}

test("THREAT-14: a sealed lease opens for its key, and where there is one for its TPM's secret, only", () => {
  const [mine, other] = [recipient(), recipient()];
  const plain = Buffer.from("lease");
  const secret = randomBytes(32);
  const sealed = seal(mine.raw, secret, plain);
  assert.deepEqual(openSealed(mine.privateKey, secret, sealed), plain);
  assert.deepEqual(openSealed(mine.privateKey, undefined, seal(mine.raw, undefined, plain)), plain);
  const refused = { name: "ServiceError", code: "ERR_LEASE_SEALED" };
  assert.throws(() => openSealed(other.privateKey, secret, sealed), refused);
  assert.throws(() => openSealed(mine.privateKey, undefined, sealed), refused);
  assert.throws(() => openSealed(mine.privateKey, randomBytes(32), sealed), refused);
  assert.throws(() => openSealed(mine.privateKey, secret, sealed.subarray(0, 47)), refused);
  assert.throws(() => seal(Buffer.alloc(32), undefined, plain), refused);
  for (let i = 0; i < sealed.length; i += 1) {
    const changed = Buffer.from(sealed);
    changed.writeUInt8(changed.readUInt8(i) ^ 1, i);
    assert.throws(() => openSealed(mine.privateKey, secret, changed), refused, String(i));
  }
  assert.throws(() => rawPublicKey(mine.privateKey, "X25519"), TypeError);
  assert.throws(() => rawPublicKey(holder, "X25519"), TypeError);
  assert.throws(() => rawPublicKey(createPublicKey(holder), "X25519"), TypeError);
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey;
  assert.throws(() => rawPublicKey(rsa, "X25519"), TypeError);
  assert.throws(() => openSealed(mine.privateKey, secret, Buffer.alloc(3)), refused);
});

test("any text is a grant or a coded error", () => {
  const log = new TestGrantLog();
  const grant = log.grant(encodeLease(lease));
  fc.assert(
    fc.property(fc.nat(grant.length - 1), fc.string({ minLength: 1, maxLength: 4 }), (at, text) => {
      const changed = grant.slice(0, at) + text + grant.slice(at + text.length);
      if (changed === grant) return;
      try {
        openGrant(changed, log);
        assert.fail("accepted");
      } catch (error) {
        assert.ok(error instanceof ServiceError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

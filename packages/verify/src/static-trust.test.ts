import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import { encodeBase64url } from "./base64url.ts";
import { PinnedKey } from "./pinned-key.ts";
import { verifyKeyRecord } from "./ring.ts";
import { fromStaticKeys, fromStaticRecords, type StaticKey } from "./static-trust.ts";
import {
  consumerKey,
  mint,
  recordBytes,
  recordFields,
  signedRecord,
  staticKey,
  TENANT_A,
  verifierWith,
} from "./testing/fixture.ts";
import { pinOf, signWith, testKey } from "./testing/keys.ts";
import { assertRefused } from "./testing/refusals.ts";
import { TrustError } from "./trust-error.ts";

const untyped: { fromStaticKeys(options: unknown): unknown } = { fromStaticKeys };
const RINGS = { enterprise: pinOf(testKey("ring-enterprise")) };

function refuses(keys: readonly unknown[], message: RegExp): void {
  assert.throws(
    () => untyped.fromStaticKeys({ keys }),
    (error) => error instanceof TypeError && message.test(error.message),
    String(message),
  );
}

describe("fromStaticKeys()", () => {
  it("P1: requires every member of the scope", () => {
    const good = staticKey("ent-es256");
    for (const name of Object.keys(good))
      refuses([{ ...good, [name]: undefined }], new RegExp(String.raw`keys\[0\]\.${name}`));
    refuses([good, { ...good, scope: "any" }], /keys\[1\]\.scope/);
    refuses([], /no key/);
    for (const key of [1, null, [good]]) refuses([key], /keys\[0\]: JSON is not an object/);
  });

  it("requires kid and alg in the JWK, and refuses bad and private keys", () => {
    const { jwk, ...rest } = staticKey("ent-es256");
    for (const [changes, message] of [
      [{ kid: undefined }, /kid/],
      [{ kid: "" }, /kid/],
      [{ alg: undefined }, /alg/],
      [{ alg: "HS256" }, /alg/],
      [{ alg: "RS256" }, /kty/],
      [{ d: "AA" }, /private/],
      [{ use: "enc" }, /not for verifying signatures/],
      [{ key_ops: ["sign"] }, /not for verifying signatures/],
      [{ x: "AA" }, /Public key x/],
      [{ x: "A".repeat(43) }, /not a key/],
    ] as const)
      refuses([{ ...rest, jwk: { ...jwk, ...changes } }], message);
  });

  it("refuses one kid or one public key with two meanings, and takes a repetition", async () => {
    const es = staticKey("ent-es256");
    const { jwk } = staticKey("ent-ed25519");
    refuses([es, { ...es, jwk: { ...jwk, kid: "ent-es256" } }], /two meanings/);
    refuses([es, { ...es, audiences: "any" }], /two meanings/);
    refuses([es, { ...es, jwk: { ...es.jwk, kid: "other" } }], /two meanings/);
    const verifier = await verifierWith([es, es, consumerKey()]);
    assert.equal(verifier.status().keys.length, 2);
  });

  it('takes "any" tenants when it is said aloud', async () => {
    const verifier = await verifierWith([staticKey("ent-es256", { tenants: "any" })]);
    assert.equal(verifier.verify(mint()).tenantId, TENANT_A);
    const listed: StaticKey = staticKey("ent-es256", { tenants: { ids: [TENANT_A] } });
    assert.equal((await verifierWith([listed])).verify(mint()).tenantId, TENANT_A);
  });
});

describe("fromStaticRecords()", () => {
  it("trusts a record that its realm's ring key signed, by bytes or text", async () => {
    const { bytes, ring, record } = signedRecord("ent-es256");
    const token = mint({ header: { kid: record.kid } });
    for (const signed of [
      { record: bytes, ring },
      { record: encodeBase64url(bytes), ring: encodeBase64url(ring) },
    ]) {
      const trust = fromStaticRecords([signed], { rings: RINGS });
      const verifier = await verifierWith([], { trust });
      assert.deepEqual(verifier.verify(token).key.kid, record.kid);
      assertRefused(verifier, mint(), "ERR_JWKS_NO_MATCHING_KEY");
      assert.equal(verifier.status().sources[0]?.ringPinned, true);
    }
  });

  it("takes the signature of one of several, while another ring key takes its place", async () => {
    const { bytes, ring, record } = signedRecord("ent-es256");
    const next = pinOf(testKey("ring-consumer"));
    const signed = { record: bytes, ring };
    for (const pins of [
      [next, RINGS.enterprise],
      [RINGS.enterprise, next],
    ]) {
      const trust = fromStaticRecords([signed], { rings: { enterprise: pins } });
      const verifier = await verifierWith([], { trust });
      assert.equal(verifier.verify(mint({ header: { kid: record.kid } })).key.kid, record.kid);
    }
    for (const pins of [[next], []])
      assert.throws(() => fromStaticRecords([signed], { rings: { enterprise: pins } }), TypeError);
  });

  it("THREAT-27: refuses another ring's signature, another realm, a changed record, no ring", () => {
    const { bytes, ring } = signedRecord("ent-es256");
    const consumer = signedRecord("con-es256", { realm: "consumer" });
    const rings = { ...RINGS, consumer: pinOf(testKey("ring-consumer")) };
    const changed = recordBytes(recordFields("ent-es256", { audiences: "any" }));
    for (const [signed, pins] of [
      [{ record: bytes, ring }, { enterprise: rings.consumer }],
      [{ record: bytes, ring }, { lab: rings.enterprise }],
      [{ record: bytes, ring }, {}],
      [{ record: changed, ring }, rings],
      [{ record: bytes, ring: Buffer.alloc(64) }, rings],
      [{ record: bytes, ring: "" }, rings],
      [{ record: bytes, ring: "not base64url" }, rings],
      // A consumer record signed by the enterprise ring.
      [{ record: consumer.bytes, ring: consumer.ring }, rings],
      [{ record: "{}", ring }, rings],
    ] as const)
      assert.throws(() => fromStaticRecords([signed], { rings: pins }), TypeError);
    assert.throws(
      () => fromStaticRecords([{ record: bytes, ring }], { rings: {} }),
      /no ring key given for realm enterprise/,
    );
  });
});

describe("verifyKeyRecord()", () => {
  it("returns the record, or throws ERR_KEY_UNTRUSTED", () => {
    const { bytes, ring, record } = signedRecord("ent-es256");
    const pinned = new PinnedKey(RINGS.enterprise);
    assert.deepEqual(verifyKeyRecord(bytes, ring, pinned), record);
    // The context keeps a signature over something else from being one over a record.
    const bare = signWith(testKey("ring-enterprise"), bytes);
    for (const signature of [bare, Buffer.alloc(64), Buffer.alloc(0), ring.subarray(1)])
      assert.throws(
        () => verifyKeyRecord(bytes, signature, pinned),
        (error) => error instanceof TrustError && error.code === "ERR_KEY_UNTRUSTED",
      );
  });
});

describe("PinnedKey", () => {
  const raw = Buffer.from(RINGS.enterprise, "base64url");

  it("reads a verifier key and a bare key", () => {
    const key = new PinnedKey(vkey("ring.example/enterprise", raw));
    assert.equal(key.name, "ring.example/enterprise");
    assert.equal(new PinnedKey(RINGS.enterprise).name, undefined);
    const signature = signWith(testKey("ring-enterprise"), "text");
    for (const pinned of [key, new PinnedKey(RINGS.enterprise)]) {
      assert.equal(pinned.hasSigned(Buffer.from("text"), signature), true);
      assert.equal(pinned.hasSigned(Buffer.from("test"), signature), false);
    }
  });

  it("refuses a wrong hash, another algorithm, another length or form", () => {
    const good = vkey("ring", raw);
    for (const text of [
      "",
      "ring",
      good.replace("ring+", "king+"),
      good.replace(/\+[0-9a-f]{8}\+/, "+00000000+"),
      vkey("ring", raw, 2),
      vkey("ring", raw.subarray(1)),
      // The hash is that of an Ed25519 key.
      good.slice(0, "ring+01234567+".length) +
        Buffer.concat([Buffer.of(2), raw]).toString("base64"),
      `${good} `,
      `${RINGS.enterprise}A`,
      RINGS.enterprise.slice(1),
    ])
      assert.throws(() => new PinnedKey(text), TypeError, text);
  });
});

/** C2SP signed-note verifier key. */
function vkey(name: string, key: Buffer, algorithm = 1): string {
  const bytes = Buffer.concat([Buffer.of(algorithm), key]);
  const id = hash("sha256", Buffer.concat([Buffer.from(`${name}\n`), bytes]), "hex").slice(0, 8);
  return `${name}+${id}+${bytes.toString("base64")}`;
}

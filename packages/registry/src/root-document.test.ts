import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { describe, it } from "node:test";
import { canonicalBytes } from "@redoubt/base";
import { parseJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import fc from "fast-check";
import { KeyError } from "@redoubt/keys";
import { encodeRoot, MAX_ROOT_SECONDS, parseRoot, type RootDocument } from "./root-document.ts";
import { encodeRootPublicKey, parseRootPublicKey } from "./root-public-key.ts";
import { NamedKey, NOW } from "./testing/registry-fixture.ts";
import { REALM_RINGS, RootHolder, rootOf, YEAR } from "./testing/root-fixture.ts";

const holders = Array.from(
  { length: 17 },
  (_, i) => new RootHolder(`holder-${String.fromCodePoint(97 + i)}`),
);
const [alice, bob, carol] = holders;
assert.ok(alice && bob && carol);
const root = rootOf([carol, alice, bob]);
const members = parseJsonObject(root.bytes);

function list(name: string): readonly JsonValue[] {
  const value = members[name];
  assert.ok(Array.isArray(value));
  return value;
}

function refused(change: JsonObject | Uint8Array, pattern: RegExp, code = "ERR_ROOT_MEMBER"): void {
  const bytes = change instanceof Uint8Array ? change : canonicalBytes({ ...members, ...change });
  assert.throws(
    () => parseRoot(bytes),
    (error) => {
      assert.ok(error instanceof KeyError);
      assert.equal(error.code, code);
      assert.match(error.message, pattern);
      return true;
    },
  );
}

function of(n: number, threshold: number, kind: "demo" | "production") {
  return () => rootOf(holders.slice(0, n), { threshold, kind });
}

describe("a root document", () => {
  it("reads as what it says, in one order", () => {
    const { document } = parseRoot(root.bytes);
    assert.deepEqual(
      document.keys.map(({ name }) => name),
      ["holder-a", "holder-b", "holder-c"],
    );
    assert.deepEqual(document.realms, REALM_RINGS);
    const { kind, version, threshold, made, expires } = document;
    assert.deepEqual(
      [kind, version, threshold, made, expires],
      ["production", 1, 2, NOW, NOW + YEAR],
    );
    assert.deepEqual(encodeRoot(document), parseRoot(root.bytes));
  });

  it("is refused without any of its members, with null for it, and with a further one", () => {
    for (const name of Object.keys(members)) {
      const { [name]: _, ...rest } = members;
      refused(canonicalBytes(rest), new RegExp(name));
      refused({ [name]: null }, new RegExp(name));
    }
    refused({ extra: 1 }, /unknown member extra/);
    for (const [name, item] of [
      ["keys", { ...alice.key }],
      ["realms", { ...REALM_RINGS[0] }],
    ] as const) {
      refused({ [name]: [{ ...item, extra: 1 }] }, /unknown member extra/);
      for (const member of Object.keys(item))
        refused({ [name]: [{ ...item, [member]: null }] }, /must be/);
    }
  });

  it("is refused with a wrong value in any member", () => {
    const wrong: Readonly<Record<string, readonly JsonValue[]>> = {
      v: [0, 2, "1"],
      kind: ["Demo", "", "test", 1],
      version: [0, -1, 2 ** 31, "1", 1.5],
      threshold: [0, 17, "2"],
      made: [-1, 2 ** 40 + 1, "1"],
      expires: [-1, 2 ** 40 + 1, "1"],
      keys: [[], [1], {}, "x"],
      realms: [[], [1], {}, "x"],
    };
    for (const [name, values] of Object.entries(wrong))
      for (const value of values)
        if (value === 1.5)
          refused(
            Buffer.from(root.bytes.toString().replace('"version":1', '"version":1.5')),
            /canonical/,
            "ERR_ROOT_FORM",
          );
        else
          refused(
            { [name]: value },
            new RegExp(name === "keys" || name === "realms" ? "root" : name),
          );
  });

  it("names every problem at once", () => {
    refused(
      { kind: "x", version: 0, threshold: 99, extra: true },
      /kind.*threshold.*version.*extra/,
    );
  });

  it("has 1 to 16 keys, each a person's one", () => {
    const first16 = holders.slice(0, 16);
    assert.equal(parseRoot(rootOf(first16).bytes).document.keys.length, 16);
    const all = holders.map(({ key }) => ({ ...key }));
    refused({ keys: all }, /at most 16/);
    refused({ keys: list("keys").toReversed() }, /sorted/);
    refused({ keys: [...list("keys").slice(0, 2), ...list("keys").slice(1)] }, /each once/);
    refused(
      { keys: [...list("keys"), { ...carol.key, name: "zoe" }] },
      /one public key stands for two/,
    );
    for (const name of ["", "Alice", "a b", "x".repeat(33), "../a", "ä"])
      refused({ keys: [{ ...alice.key, name }] }, /name/);
    for (const alg of ["ES256", "ed25519", ""]) refused({ keys: [{ ...alice.key, alg }] }, /alg/);
    for (const publicKey of [
      "A".repeat(42),
      "A".repeat(44),
      `${"A".repeat(42)}B`,
      "+".repeat(43),
      "",
    ])
      refused({ keys: [{ ...alice.key, publicKey }] }, /publicKey/);
  });

  it("delegates each realm once, to a ring key of its own", () => {
    const [consumer, enterprise] = REALM_RINGS;
    assert.ok(consumer && enterprise);
    refused({ realms: list("realms").toReversed() }, /sorted/);
    refused({ realms: [{ ...consumer }, { ...consumer }] }, /each once/);
    refused({ realms: [{ ...consumer }, { ...consumer, realm: "enterprise" }] }, /one place/);
    refused({ realms: [{ ...consumer, realm: "Consumer" }] }, /realm/);
    refused({ realms: [{ ...consumer, ring: "nonsense" }] }, /ring of consumer/);
    refused(
      { realms: [{ ...consumer, ring: consumer.ring.replace(/\+[0-9a-f]{8}\+/, "+00000000+") }] },
      /ring of consumer/,
    );
    const ring = new NamedKey("ring/consumer", alice.privateKey).vkey;
    refused({ realms: [{ realm: "consumer", ring }] }, /one place/);
    const many = Array.from({ length: 33 }, (_, i) => ({
      realm: `r${String(i).padStart(2, "0")}`,
      ring: new NamedKey("ring").vkey,
    }));
    assert.equal(rootOf(holders.slice(0, 3), { realms: many.slice(1) }).document.realms.length, 32);
    refused({ realms: many }, /at most 32/);
  });

  it("production: two of three at least, and one key to spare; demo: any threshold that can be met", () => {
    for (const [n, k] of [
      [3, 2],
      [4, 3],
      [16, 15],
      [16, 2],
    ] as const)
      assert.doesNotThrow(of(n, k, "production"));
    for (const [n, k] of [
      [1, 1],
      [2, 1],
      [2, 2],
      [3, 1],
      [3, 3],
      [16, 16],
    ] as const)
      assert.throws(of(n, k, "production"), {
        code: "ERR_ROOT_MEMBER",
        message: /production needs/,
      });
    for (const [n, k] of [
      [1, 1],
      [2, 2],
      [16, 16],
    ] as const)
      assert.doesNotThrow(of(n, k, "demo"));
    for (const kind of ["demo", "production"] as const)
      assert.throws(of(3, 4, kind), { code: "ERR_ROOT_MEMBER", message: /threshold 4 of 3/ });
  });

  it("lives from a second to three years", () => {
    for (const expires of [NOW + 1, NOW + MAX_ROOT_SECONDS])
      assert.doesNotThrow(() => rootOf([alice, bob, carol], { expires }));
    for (const expires of [NOW - 1, NOW, NOW + MAX_ROOT_SECONDS + 1])
      assert.throws(() => rootOf([alice, bob, carol], { expires }), { message: /expires/ });
  });

  it("has one encoding", () => {
    const text = root.bytes.toString();
    for (const other of [
      `${text} `,
      ` ${text}`,
      text.replace(":", ": "),
      text.replace('"v":1', '"v":1,"v":1'),
      "[]",
      "",
      "{",
    ])
      refused(Buffer.from(other), /Root is/, "ERR_ROOT_FORM");
    const reordered = JSON.stringify(Object.fromEntries(Object.entries(members).toReversed()));
    refused(Buffer.from(reordered), /canonical/, "ERR_ROOT_FORM");
    refused(Buffer.from(text.replace("}", `${" ".repeat(24 * 1024)}}`)), /strict/, "ERR_ROOT_FORM");
  });

  it("fast-check: round trip, and whatever the bytes, an error of ours", () => {
    const arbitrary: fc.Arbitrary<Partial<RootDocument>> = fc.record({
      version: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      threshold: fc.integer({ min: 2, max: 15 }),
      made: fc.integer({ min: 0, max: 2 ** 39 }),
    });
    fc.assert(
      fc.property(arbitrary, (change) => {
        const expires = (change.made ?? 0) + YEAR;
        const made = rootOf(holders.slice(0, 16), { ...change, expires });
        assert.deepEqual(encodeRoot(parseRoot(made.bytes).document), parseRoot(made.bytes));
      }),
      { numRuns: 50 },
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => Buffer.from(text)),
      fc.tuple(fc.nat(root.bytes.length - 1), fc.nat(255)).map(([at, byte]) => {
        const changed = Buffer.from(root.bytes);
        changed[at] = byte;
        return changed;
      }),
    );
    fc.assert(
      fc.property(bytes, (input) => {
        try {
          const read = parseRoot(input);
          assert.equal(read.hash === root.hash, Buffer.from(input).equals(root.bytes));
        } catch (error) {
          assert.ok(error instanceof KeyError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

const P = 2n ** 255n - 19n;
const ORDER_8 = 0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n;

function encodePoint(y: bigint, sign = 0): string {
  const number = y | (BigInt(sign) << 255n);
  const bytes = Buffer.from(number.toString(16).padStart(64, "0"), "hex");
  return Buffer.from(bytes.toReversed()).toString("base64url");
}

describe("root public keys", () => {
  it("are Ed25519 keys in their one encoding", () => {
    const publicKey = createPublicKey(alice.privateKey);
    assert.equal(encodeRootPublicKey(parseRootPublicKey(alice.key.publicKey)), alice.key.publicKey);
    assert.equal(parseRootPublicKey(alice.key.publicKey).equals(publicKey), true);
  });

  it("are not of small order", () => {
    for (const y of [0n, 1n, P - 1n, ORDER_8, P - ORDER_8])
      for (const sign of [0, 1])
        assert.throws(() => parseRootPublicKey(encodePoint(y, sign)), { code: "ERR_KEY_ALG" });
  });

  it("order 8: doubled three times, and not earlier, it is the neutral element", () => {
    const mod = (n: bigint) => ((n % P) + P) % P;
    const pow = (base: bigint, exponent: bigint): bigint => {
      let [result, square] = [1n, mod(base)];
      for (let e = exponent; e > 0n; e >>= 1n) {
        if (e & 1n) result = mod(result * square);
        square = mod(square * square);
      }
      return result;
    };
    const inverse = (n: bigint) => pow(n, P - 2n);
    const d = mod(-121665n * inverse(121666n));
    // RFC 8032 §5.1: -x^2 + y^2 = 1 + d x^2 y^2, and the y of twice a point is (y^2 + x^2) / (1 - d x^2 y^2).
    const doubledY = (y: bigint): bigint => {
      const y2 = mod(y * y);
      const x2 = mod((y2 - 1n) * inverse(d * y2 + 1n));
      return mod((y2 + x2) * inverse(1n - d * x2 * y2));
    };
    assert.equal(doubledY(ORDER_8), 0n);
    assert.equal(doubledY(0n), P - 1n);
    assert.equal(doubledY(P - 1n), 1n);
  });

  it("have no second spelling", () => {
    for (const y of [P, P + 1n, P + 3n, 2n ** 255n - 1n])
      assert.throws(() => parseRootPublicKey(encodePoint(y)), { code: "ERR_KEY_ALG" });
    assert.doesNotThrow(() => parseRootPublicKey(encodePoint(3n)));
  });
});

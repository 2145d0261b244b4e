import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { canonicalBytes } from "@redoubt/base";
import { parseJsonObject } from "@redoubt/verify/json";
import fc from "fast-check";
import { KeyError } from "@redoubt/keys";
import { encodeRootKey, parseRootKey } from "./root-key.ts";
import {
  combineRoots,
  encodeSignedRoot,
  parseSignedRoot,
  rootSigners,
  signRoot,
  verifyRootThreshold,
} from "./root-signature.ts";
import { lineOf, RootHolder, rootOf, signedBy } from "./testing/root-fixture.ts";

const [alice, bob, carol, mallory] = ["alice", "bob", "carol", "mallory"].map(
  (name) => new RootHolder(name),
);
assert.ok(alice && bob && carol && mallory);
const root = rootOf([alice, bob, carol]);
const full = signedBy(root, alice, carol);

describe("signatures of a root", () => {
  it("k distinct keys of n are enough, whichever they are and in whatever order they signed", () => {
    for (const pair of [
      [alice, bob],
      [carol, bob],
      [carol, alice],
    ] as const) {
      const signed = signedBy(root, ...pair);
      verifyRootThreshold(signed, root.document);
      assert.deepEqual(
        rootSigners(signed, root.document).map(({ name }) => name),
        pair.map(({ key }) => key.name).toSorted(),
      );
    }
    assert.deepEqual(signedBy(root, alice, carol), signedBy(root, carol, alice));
    assert.equal(full.hash, root.hash);
  });

  it("k - 1 are not, and the refusal says who is missing", () => {
    for (const signed of [root, signedBy(root, bob)])
      assert.throws(() => verifyRootThreshold(signed, root.document), {
        code: "ERR_ROOT_THRESHOLD",
      });
    assert.throws(
      () => verifyRootThreshold(signedBy(root, bob), root.document),
      /1 of 2 .*: of alice, carol there is none/,
    );
  });

  it("one key that signs twice counts once", () => {
    assert.deepEqual(signedBy(root, alice, alice), signedBy(root, alice));
    assert.throws(() => verifyRootThreshold(signedBy(root, alice, alice), root.document), {
      code: "ERR_ROOT_THRESHOLD",
    });
    const line = { ...lineOf(root, alice) };
    const file = { v: 1, root: parseJsonObject(root.bytes), signatures: [line, line] };
    assert.throws(() => parseSignedRoot(canonicalBytes(file)), { code: "ERR_ROOT_FORM" });
  });

  it("a foreign key's counts for nothing, and is not made", () => {
    const foreign = combineRoots(signedBy(root, alice), {
      ...root,
      signatures: [lineOf(root, mallory)],
    });
    assert.equal(foreign.signatures.length, 2);
    assert.throws(() => verifyRootThreshold(foreign, root.document), {
      code: "ERR_ROOT_THRESHOLD",
    });
    verifyRootThreshold(signedBy(foreign, bob), root.document);
    assert.throws(() => signRoot(root, mallory.privateKey), { code: "ERR_ROOT_SIGNATURE" });
  });

  it("a later version is signed by keys that it no longer names", () => {
    const next = rootOf([bob, carol, mallory], { version: 2 });
    assert.deepEqual(
      rootSigners(signedBy(next, alice), root.document).map(({ name }) => name),
      ["alice"],
    );
  });

  it("one over anything else is refused: another context, another document, another signature", () => {
    const other = rootOf([alice, bob, carol], { version: 2 });
    for (const line of [
      lineOf(root, alice, ""),
      lineOf(root, alice, "redoubt/root/v2\n"),
      lineOf(other, alice),
      { ...lineOf(root, bob), key: alice.key.publicKey },
    ]) {
      const bad = { ...root, signatures: [line] };
      assert.throws(() => verifyRootThreshold(bad, root.document), { code: "ERR_ROOT_SIGNATURE" });
      assert.throws(() => combineRoots(root, bad), { code: "ERR_ROOT_SIGNATURE" });
    }
  });

  it("only an Ed25519 key signs", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    assert.throws(() => signRoot(root, privateKey), { code: "ERR_KEY_ALG" });
  });

  it("made apart, they are brought together; over two documents they are not", () => {
    const apart = combineRoots(signedBy(root, carol), signedBy(root, alice), signedBy(root, carol));
    assert.deepEqual(apart, full);
    const other = signedBy(rootOf([alice, bob, carol], { made: 1_764_000_001 }), alice);
    assert.throws(() => combineRoots(full, other), { code: "ERR_ROOT_FORK" });
  });
});

describe("a signed root", () => {
  const bytes = encodeSignedRoot(full);
  const members = parseJsonObject(bytes);

  it("comes back as it was, with and without signatures", () => {
    for (const signed of [root, full])
      assert.deepEqual(parseSignedRoot(encodeSignedRoot(signed)), signed);
  });

  it("is refused with anything missing, wrong, further, or in another order", () => {
    const lines = full.signatures.map((line) => ({ ...line }));
    const [line] = lines;
    assert.ok(line);
    for (const change of [
      { v: 2 },
      { v: null },
      { root: null },
      { root: [] },
      { signatures: {} },
      { signatures: null },
      { extra: 1 },
      { signatures: lines.toReversed() },
      { signatures: [1] },
      { signatures: [{ ...line, extra: 1 }] },
      { signatures: [{ ...line, key: "" }] },
      { signatures: [{ ...line, key: "A".repeat(42) }] },
      { signatures: [{ ...line, sig: "A".repeat(84) }] },
      { signatures: [{ ...line, sig: `${"A".repeat(85)}B` }] },
      { signatures: Array.from({ length: 33 }, () => line) },
    ])
      assert.throws(
        () => parseSignedRoot(canonicalBytes({ ...members, ...change })),
        { code: "ERR_ROOT_FORM" },
        JSON.stringify(change).slice(0, 100),
      );
    for (const text of [
      "",
      "[]",
      `${bytes.toString()} `,
      bytes.toString().replace('"v":1', '"v": 1'),
    ])
      assert.throws(() => parseSignedRoot(Buffer.from(text)), { code: "ERR_ROOT_FORM" });
    assert.throws(() => parseSignedRoot(canonicalBytes({ ...members, root: {} })), {
      code: "ERR_ROOT_MEMBER",
    });
    assert.throws(() => parseSignedRoot(Buffer.alloc(32 * 1024 + 1, 32)), {
      code: "ERR_ROOT_FORM",
    });
  });

  it("fast-check: no changed byte leaves a root that the threshold vouches for", () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ flip;
        assert.throws(
          () => {
            const read = parseSignedRoot(changed);
            verifyRootThreshold(read, read.document);
          },
          (error) => error instanceof KeyError,
        );
      }),
      { numRuns: 400 },
    );
  });
});

describe("a root key", () => {
  const made = encodeRootKey("alice", generateKeyPairSync("ed25519").privateKey);

  it("public part: every change is refused", () => {
    const members = parseJsonObject(made);
    for (const name of Object.keys(members)) {
      const { [name]: _, ...rest } = members;
      assert.throws(() => parseRootKey(canonicalBytes(rest)), { code: "ERR_ROOT_MEMBER" });
    }
    assert.throws(() => parseRootKey(canonicalBytes({ ...members, extra: 1 })), {
      code: "ERR_ROOT_MEMBER",
    });
    // Somebody else's key under one's own name, or the other way round.
    for (const change of [{ name: "mallory" }, { publicKey: mallory.key.publicKey }])
      assert.throws(() => parseRootKey(canonicalBytes({ ...members, ...change })), {
        code: "ERR_ROOT_SIGNATURE",
      });
    assert.throws(() => parseRootKey(Buffer.from("x")), { code: "ERR_ROOT_FORM" });
    const weak = `AQ${"A".repeat(41)}`;
    assert.throws(() => parseRootKey(canonicalBytes({ ...members, publicKey: weak })), {
      code: "ERR_KEY_ALG",
    });
  });
});

import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { MemberReader } from "@redoubt/base";
import { isJsonObject, parseJsonObject } from "@redoubt/verify/json";
import { verifyRootChain } from "./root-chain.ts";
import { ROOT_KINDS } from "./root-document.ts";
import { encodeSignedRoot, parseSignedRoot, signRoot, type SignedRoot } from "./root-signature.ts";

const url = new URL("../../../vectors/keys/roots.json", import.meta.url);
const vectors = new MemberReader(parseJsonObject(readFileSync(url)), "vectors");
const seeds = vectors.object("seeds");

function objects(name: string): readonly MemberReader[] {
  const list = vectors.array(name, 100).map((item) => {
    assert.ok(isJsonObject(item));
    return new MemberReader(item, name);
  });
  assert.ok(list.length > 0);
  return list;
}

/** RFC 8410 §7 around a seed that is one byte, 32 times. */
function keyOf(name: string) {
  const prefix = Buffer.from("302e020100300506032b657004220420", "hex");
  const key = Buffer.concat([prefix, Buffer.alloc(32, seeds.integer(name, 0, 255))]);
  return createPrivateKey({ key, format: "der", type: "pkcs8" });
}

describe("vectors/keys/roots.json, which another implementation computed", () => {
  const roots = new Map<string, SignedRoot>();
  for (const vector of objects("roots")) {
    const name = vector.string("name");
    const bytes = Buffer.from(vector.string("signed", 10_000));
    roots.set(name, parseSignedRoot(bytes));
    it(`root: ${name}`, () => {
      const read = parseSignedRoot(bytes);
      assert.equal(read.hash, vector.string("hash"));
      let made: SignedRoot = { ...read, signatures: [] };
      // A first version takes no foreign signature from us.
      const signers = vector.strings("signers", 9);
      const own = read.document.keys.map((key) => key.name);
      const isOurs = read.document.version > 1 || signers.every((signer) => own.includes(signer));
      if (!isOurs) return;
      for (const signer of signers) made = signRoot(made, keyOf(signer));
      assert.deepEqual(encodeSignedRoot(made), bytes);
    });
  }

  const nowSeconds = vectors.integer("nowSeconds", 0, 2 ** 40);
  for (const vector of objects("chains")) {
    const names = vector.strings("roots", 9);
    const kind = vector.oneOf("kind", ROOT_KINDS);
    const pin = vector.string("pin");
    const error = vector.optionalString("error");
    it(`chain of ${names.join(", ")} as ${kind}: ${error ?? "good"}`, () => {
      const chain = names.map((name) => {
        const root = roots.get(name);
        assert.ok(root);
        return root;
      });
      const verify = () => verifyRootChain(chain, { pin, kind, nowSeconds });
      if (error === undefined) assert.equal(verify().hash, vector.string("newest"));
      else assert.throws(verify, { name: "KeyError", code: error });
    });
  }
});

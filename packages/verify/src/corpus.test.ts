import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { decodeBase64url } from "./base64url.ts";
import { PinnedKey } from "./pinned-key.ts";
import { parseKeyRecord } from "./record.ts";
import { verifyKeyRecord } from "./ring.ts";
import { fromStaticKeys, type StaticKey } from "./static-trust.ts";
import { corpusCases } from "./testing/corpus-cases.ts";
import { classOf, corpusClasses, plainVerifier } from "./testing/corpus-classes.ts";
import { outcome } from "./testing/outcome.ts";
import { VECTORS } from "./testing/keys.ts";
import { recordCases, type RecordCase } from "./testing/record-cases.ts";
import { createVerifier } from "./verifier.ts";
import type { AcceptRule } from "./verifier-options.ts";

interface TokenTest {
  readonly id: number;
  readonly name: string;
  readonly class: string;
  readonly token: string;
  readonly now?: number;
  readonly result: "valid" | "invalid";
  readonly code?: string;
  readonly part?: string;
}

interface TokenFile {
  readonly plainVerifier: object;
  readonly classes: readonly { readonly name: string; readonly needs: string }[];
  readonly now: number;
  readonly audience: string;
  readonly accept: readonly AcceptRule[];
  readonly keys: readonly StaticKey[];
  readonly tests: readonly TokenTest[];
}

describe("vectors/verifier", () => {
  it("THREAT-08: gives the expected answer for every token of tokens.json", async () => {
    const file: TokenFile = JSON.parse(readFileSync(new URL("tokens.json", VECTORS), "utf8"));
    let { now } = file;
    const verifier = await createVerifier({
      trust: fromStaticKeys({ keys: file.keys }),
      audience: file.audience,
      accept: file.accept,
      issuance: "off",
      now: () => now * 1000,
    });
    for (const test of file.tests) {
      now = test.now ?? file.now;
      const expected = test.result === "valid" ? "valid" : [test.code, test.part];
      assert.deepEqual(
        outcome(() => verifier.verify(test.token)),
        expected,
        test.name,
      );
    }
    const names = file.tests.map(({ name, code, part }) => [name, code, part]);
    assert.deepEqual(
      names,
      corpusCases().map(({ name, code, part }) => [name, code, part]),
      "stale file",
    );
    assert.equal(file.tests.length > 250, true);
  });

  it("puts each token into one class, and none is empty", () => {
    const file: TokenFile = JSON.parse(readFileSync(new URL("tokens.json", VECTORS), "utf8"));
    assert.deepEqual(file.classes, corpusClasses());
    assert.deepEqual(file.plainVerifier, plainVerifier());
    for (const test of file.tests) assert.equal(test.class, classOf(test), test.name);
    const used = new Set(file.tests.map((test) => test.class));
    assert.deepEqual([...used].toSorted(), file.classes.map(({ name }) => name).toSorted());
    for (const test of file.tests)
      assert.equal(test.class === "valid", test.result === "valid", test.name);
  });

  it("gives the expected answer for every record of key-records.json", () => {
    const file: { rings: { enterprise: string }; tests: readonly RecordCase[] } = JSON.parse(
      readFileSync(new URL("key-records.json", VECTORS), "utf8"),
    );
    const ring = new PinnedKey(file.rings.enterprise);
    for (const test of file.tests) {
      const bytes = decodeBase64url(test.record);
      const found = outcome(() => verifyKeyRecord(bytes, decodeBase64url(test.ring), ring));
      assert.deepEqual(
        found,
        test.result === "valid" ? "valid" : [test.code, undefined],
        test.name,
      );
      if (test.result === "valid")
        assert.equal(
          parseKeyRecord(bytes).kid,
          verifyKeyRecord(bytes, decodeBase64url(test.ring), ring).kid,
        );
    }
    const names = file.tests.map(({ name, code }) => [name, code]);
    assert.deepEqual(
      names,
      recordCases().map(({ name, code }) => [name, code]),
      "stale file",
    );
  });
});

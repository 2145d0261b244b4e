import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { EVIDENCE_AUTHORITY } from "./index.ts";
import { TEST_NOW } from "./testing/certificates.ts";
import { envelopeText, sampleEnvelopes } from "./testing/envelopes.ts";

test("the example of the README runs, and refuses what the pinned roots do not vouch for", async () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const [, example = ""] = /```js\n(.*?)```/s.exec(readme) ?? [];
  // The name resolves only inside a package: the example gets the address instead.
  const index = new URL("./index.ts", import.meta.url).href;
  const source = example.replace('"@redoubt/evidence"', JSON.stringify(index));
  assert.notEqual(source, example);
  const module: { accept: (envelope: string, policy: string, options: object) => unknown } =
    await import(`data:text/javascript,${encodeURIComponent(source)}`);
  const policy = JSON.stringify({
    version: "1.1.0",
    anyOf: [{ authority: EVIDENCE_AUTHORITY, allOf: [{ claim: "platform", equals: "snp" }] }],
  });
  const options = { expected: null, references: new Map(), now: TEST_NOW };
  assert.throws(() => module.accept(envelopeText(sampleEnvelopes().snp), policy, options), {
    code: "ERR_EVIDENCE_ROOT",
  });
});

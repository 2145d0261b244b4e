import assert from "node:assert/strict";
import { test } from "node:test";
import { commonNameOf } from "./common-name.ts";
import { commonName, der, nothing, oid, sequence } from "./testing/der-writer.ts";

function attribute(id: string, value: string, ...more: Buffer[]): Buffer {
  return der(0x31, sequence(oid(id), der(0x0c, Buffer.from(value)), ...more));
}

test("the one common name is found among other attributes", () => {
  assert.equal(commonNameOf(commonName("SEV-VCEK")), "SEV-VCEK");
  assert.equal(commonNameOf(sequence(attribute("2.5.4.6", "US"), attribute("2.5.4.3", "a"))), "a");
});

test("none, or two, are refused", () => {
  for (const name of [sequence(), sequence(attribute("2.5.4.3", "a"), attribute("2.5.4.3", "b"))]) {
    assert.throws(() => commonNameOf(name), { code: "ERR_EVIDENCE_CERTIFICATE" });
  }
});

test("what nobody reads is refused", () => {
  const two = der(0x31, sequence(oid("2.5.4.3"), nothing()), sequence(oid("2.5.4.3"), nothing()));
  for (const name of [sequence(two), sequence(attribute("2.5.4.3", "a", nothing())), nothing()]) {
    assert.throws(() => commonNameOf(name), { code: "ERR_EVIDENCE_FORMAT" });
  }
});

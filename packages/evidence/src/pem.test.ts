import assert from "node:assert/strict";
import { test } from "node:test";
import { decodePemChain } from "./pem.ts";

function pem(text: string): string {
  const body = Buffer.from(text)
    .toString("base64")
    .replaceAll(/(.{64})/g, "$1\n")
    .trim();
  return `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;
}

const options = { maxCertificates: 2, what: "chain" };
const malformed = { name: "EvidenceError", code: "ERR_EVIDENCE_FORMAT", part: "chain" };

test("splits a chain", () => {
  const long = "a".repeat(100);
  const blocks = decodePemChain(`${pem(long)}${pem("two")}\0`, options);
  assert.deepEqual(blocks.map(String), [long, "two"]);
  assert.equal(String(decodePemChain(pem("x").replaceAll("\n", "\r\n"), options)[0]), "x");
});

test("refuses what is not a chain, or too long a one", () => {
  for (const text of [
    "",
    "hello",
    pem("a").repeat(3),
    `text\n${pem("a")}`,
    `${pem("a")}text`,
    pem("a").replace("CERTIFICATE", "PRIVATE KEY"),
    "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----",
    `${pem("a")}\0\0`,
  ]) {
    assert.throws(() => decodePemChain(text, options), malformed);
  }
});

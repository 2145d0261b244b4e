import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { MemberReader } from "@redoubt/base";
import { createVerifierKey, encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { readGrantLog } from "./read-grant-log.ts";

const ORIGIN = "redoubt.test/broker";

function key(name: string, type: 1 | 4 = SIGNATURE_TYPE.ed25519): string {
  const { publicKey } = generateKeyPairSync("ed25519");
  return encodeVerifierKey(createVerifierKey({ name, type, publicKey }));
}

test("a broker's log is pinned by two Ed25519 keys that are named for it", () => {
  const good = { origin: ORIGIN, key: key(ORIGIN), writer: key(`${ORIGIN}/writer`) };
  const read = (change: object) => readGrantLog(new MemberReader({ ...good, ...change }, "log"));
  assert.equal(read({}).writerKey.name, `${ORIGIN}/writer`);
  for (const change of [
    { key: key("other") },
    { writer: key("other/writer") },
    { key: key(ORIGIN, SIGNATURE_TYPE.cosignature) },
    { writer: key(`${ORIGIN}/writer`, SIGNATURE_TYPE.cosignature) },
    { origin: "redoubt.test/other" },
  ])
    assert.throws(() => read(change), { code: "ERR_CONFIG" }, JSON.stringify(change));
});

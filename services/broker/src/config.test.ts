import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { EK_P384, readTpmKey } from "@redoubt/evidence";
import { createVerifierKey, encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { parseConfig } from "./config.ts";
import { ORIGIN, TestBroker } from "./testing/broker.ts";

test("a broker's configuration is read, and every problem is named at once", async () => {
  await using broker = await TestBroker.create();
  const ek = encodeBase64url(await readTpmKey(broker.machine.transport, EK_P384));
  const [enrolled] = broker.json.enrolled;
  const config = { ...broker.json, enrolled: [{ ...enrolled, ek }] };
  const read = parseConfig(config);
  assert.deepEqual(
    read.realms.map(({ realm }) => realm),
    ["consumer", "enterprise"],
  );
  assert.equal(read.release.keys.length, 2);
  assert.equal(read.enrolled[0]?.signer, "signer-consumer");
  assert.deepEqual(read.enrolled[0]?.ek.name, broker.machine.enrolled.ek.name);
  const { publicKey } = generateKeyPairSync("ed25519");
  const type = SIGNATURE_TYPE.cosignature;
  const cosigning = encodeVerifierKey(createVerifierKey({ name: ORIGIN, type, publicKey }));
  for (const [change, problem] of [
    [{ realms: [{ realm: "consumer", signer: "operator" }] }, /signer/],
    [{ realms: ["consumer"] }, /must hold objects/],
    [{ log: { origin: ORIGIN, key: cosigning } }, /must be Ed25519/],
    [{ log: { ...config.log, origin: "redoubt.test/other" } }, /log/],
    [{ witness: "x" }, /.*/],
    [{ release: { ...config.release, threshold: 3 } }, /threshold/],
    [{ leaseSeconds: 901 }, /leaseSeconds/],
    [{ nonceSeconds: 301 }, /nonceSeconds/],
    [{ enrolled: [{ ...enrolled, ek: "AAAA" }] }, /.*/],
    [{ enrolled: [{ ...enrolled, ek, platform: "snp" }] }, /platform/],
    [{ enrolled: [{ ...enrolled, ek, signer: "broker" }] }, /signer/],
    [{ image: "" }, /image/],
    [{ more: 1 }, /more/],
  ] as const)
    assert.throws(
      () => parseConfig({ ...config, ...change }),
      (error: Error) => "code" in error && problem.test(error.message),
      JSON.stringify(change),
    );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { SIGNATURE_TYPE } from "@redoubt/tlog";
import { BROKER_LOG, REGISTRY_LOG } from "../layout.ts";
import { ISSUANCE_LOG, testKey, TestRegistry } from "../testing/registry.ts";
import { missingSigner, systemKeys, tokenKeys } from "./log-keys.ts";

const witness = testKey("redoubt.local/witness", SIGNATURE_TYPE.cosignature);
const settings = { registryKey: testKey(REGISTRY_LOG).text, witness: witness.text };

test("a broker's log is verified by its two keys, as a realm's is: neither is enough alone", () => {
  const fixture = new TestRegistry();
  const { log, writer } = fixture.broker(BROKER_LOG);
  const keys = systemKeys(settings, fixture.registry);
  assert.deepEqual([...keys.keys()], [REGISTRY_LOG, ISSUANCE_LOG, BROKER_LOG]);
  const own = keys.get(BROKER_LOG) ?? assert.fail();
  assert.equal(missingSigner(own, [log.vkey]), `${BROKER_LOG}/writer`);
  assert.equal(missingSigner(own, [writer.vkey]), BROKER_LOG);
  assert.equal(missingSigner(own, [log.vkey, writer.vkey]), undefined);
  assert.deepEqual(
    own.optional.map(({ name }) => name),
    [witness.vkey.name],
  );
});

test("THREAT-06: what a broker enters into its log proves of no token that it was issued", () => {
  const fixture = new TestRegistry();
  fixture.broker(BROKER_LOG);
  const keys = tokenKeys(settings, fixture.registry);
  assert.deepEqual([...keys.keys()], [REGISTRY_LOG, ISSUANCE_LOG]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { ServiceError } from "@redoubt/base";
import { encodeVerifierKey } from "@redoubt/tlog";
import { parseConfig } from "./config.ts";
import { CALLERS, createDeployment, REGISTRY } from "./testing/deployment.ts";

/** The messages of a refused configuration, one for each problem. */
function problemsOf(json: Parameters<typeof parseConfig>[0]): string[] {
  try {
    parseConfig(json);
  } catch (error) {
    assert.ok(error instanceof ServiceError);
    assert.equal(error.code, "ERR_CONFIG");
    return error.message.split("; ");
  }
  return [];
}

test("parseConfig takes the whole form, as text too", async () => {
  await using deployment = await createDeployment();
  const { configJson } = deployment;
  const config = parseConfig(Buffer.from(JSON.stringify(configJson)));
  assert.equal(config.registry, REGISTRY);
  assert.deepEqual(
    config.logs.map(({ caller }) => caller),
    ["signer-consumer", "signer-enterprise", "broker"],
  );
  assert.deepEqual(problemsOf(configJson), []);
});

test("parseConfig refuses each single mistake", async (t) => {
  await using deployment = await createDeployment();
  const { configJson: good, witness } = deployment;
  const { logs } = good;
  assert.ok(Array.isArray(logs));
  const [log, other] = logs;
  const { operator: operatorKey } = good;
  const url = "http://127.0.0.1:1";
  const cosigner = encodeVerifierKey(witness.key);
  const mistakes: Readonly<Record<string, object>> = {
    "another version": { v: 2 },
    "an unknown member": { extra: 1 },
    "no callers": { callers: "x" },
    "a caller that there is not": { callers: [...CALLERS, "root"] },
    "a caller twice": { callers: [...CALLERS, "signer-consumer"] },
    "a log whose caller is not listed": { callers: ["signer-consumer", "broker"] },
    "a broker that is not listed": { callers: ["signer-consumer", "signer-enterprise"] },
    "a log that an issuer writes": { logs: [{ ...log, caller: "issuer-consumer" }] },
    "a log that another broker writes": { logs: [{ ...log, caller: "broker-2" }] },
    "a registry of another organisation": { registry: "other.test/registry" },
    "an origin with a space": { logs: [{ ...log, log: "a b" }] },
    "a log twice": { logs: [log, log] },
    "a writer of another log": { logs: [{ ...log, writer: other.writer }] },
    "a writer that cosigns": { logs: [{ ...log, writer: cosigner }] },
    "an unknown member of a log": { logs: [{ ...log, extra: 1 }] },
    "a log that is no object": { logs: ["x"] },
    "an operator key that is none": { operator: "x" },
    "a registry key that is none": { registryKeys: ["x"] },
    "a registry key of another name": { registryKeys: [operatorKey] },
    "a witness that is not reached by http": { witness: { url: "ftp://x", vkey: cosigner } },
    "a witness key that signs notes": { witness: { url, vkey: operatorKey } },
    "no witness": { witness: null },
  };
  for (const [name, change] of Object.entries(mistakes))
    await t.test(name, () => {
      assert.equal(problemsOf({ ...good, ...change }).length, 1);
    });
});

test("parseConfig names all problems at once", async () => {
  await using deployment = await createDeployment();
  const found = problemsOf({ ...deployment.configJson, v: 3, operator: 1, extra: true });
  assert.equal(found.length, 3);
  assert.equal(problemsOf(Buffer.from("{")).length, 1);
});

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { StatementBody } from "@redoubt/registry";
import {
  encodeVerifierKey,
  logId,
  openCheckpoint,
  parseVerifierKey,
  type VerifierKey,
} from "@redoubt/tlog";
import { initialiseRegistryKey } from "./initialise.ts";
import { createDeployment, REGISTRY, textOf, type Deployment } from "./testing/deployment.ts";

const TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad";
const statement = (audience: string): StatementBody => ({
  type: "tenant",
  realm: "consumer",
  tenant: TENANT,
  status: "active",
  audiences: [audience],
});

async function append(deployment: Deployment, audience: string): Promise<string> {
  await using operator = deployment.connect("operator");
  const signed = deployment.statement(statement(audience));
  const { head } = await operator.request({
    op: "append",
    log: REGISTRY,
    statement: signed.statement.toString("base64url"),
    envelope: signed.envelope.toString("base64url"),
  });
  return textOf(head.checkpoint);
}

async function shown(deployment: Deployment): Promise<string> {
  await using operator = deployment.connect("operator");
  return textOf((await operator.request({ op: "state", log: REGISTRY })).head.checkpoint);
}

/** The configuration after the operator made the registry's next key. */
function change(deployment: Deployment, keys: readonly VerifierKey[]): VerifierKey {
  const vkey = initialiseRegistryKey(deployment.folder, REGISTRY, {
    number: keys.length + 1,
    isPrepared: false,
  });
  const registryKeys = [vkey, ...keys.map(encodeVerifierKey)];
  deployment.configJson = { ...deployment.configJson, registryKeys };
  return parseVerifierKey(vkey);
}

function isSignedBy(note: string, key: VerifierKey): boolean {
  try {
    return openCheckpoint(note, { origin: REGISTRY, verifiers: [key] }).verified.length === 1;
  } catch {
    return false;
  }
}

test("the registry's tree goes on under another key, twice, with what was signed before", async () => {
  await using deployment = await createDeployment();
  const first = deployment.logKeys.get(REGISTRY);
  assert.ok(first);
  {
    await using ledger = await deployment.open();
    await append(deployment, "api://a");
    await ledger.publish();
  }
  const second = change(deployment, [first]);
  {
    await using _ = await deployment.open();
    const note = await shown(deployment);
    assert.ok(isSignedBy(note, second));
    assert.ok(!isSignedBy(note, first));
    assert.match(note, /\n1\n/);
    const next = await append(deployment, "api://b");
    assert.ok(isSignedBy(next, second) && !isSignedBy(next, first));
  }
  const third = change(deployment, [second, first]);
  await using ledger = await deployment.open();
  assert.ok(isSignedBy(await shown(deployment), third));
  const note = await append(deployment, "api://c");
  assert.ok(isSignedBy(note, third));
  assert.match(note, /\n3\n/);
  assert.match(JSON.stringify(ledger.status()), /"halted":null/);
});

test("a registry whose key was lost goes on under the next one", async () => {
  await using deployment = await createDeployment();
  const first = deployment.logKeys.get(REGISTRY);
  assert.ok(first);
  {
    await using _ = await deployment.open();
    await append(deployment, "api://a");
  }
  rmSync(join(deployment.folder, "keys", logId(REGISTRY)));
  {
    await using ledger = await deployment.open();
    assert.match(ledger.logs.get(REGISTRY)?.halted ?? "", /key of .* is gone/);
  }
  const second = change(deployment, [first]);
  await using ledger = await deployment.open();
  assert.equal(ledger.logs.get(REGISTRY)?.halted, undefined);
  assert.ok(isSignedBy(await append(deployment, "api://b"), second));
});

test("a key that the registry never had is refused, in the configuration, too", async () => {
  await using deployment = await createDeployment();
  {
    await using _ = await deployment.open();
    await append(deployment, "api://a");
  }
  const stranger = initialiseRegistryKey(deployment.folder, REGISTRY, {
    number: 7,
    isPrepared: false,
  });
  change(deployment, [parseVerifierKey(stranger)]);
  await using ledger = await deployment.open();
  assert.match(ledger.logs.get(REGISTRY)?.halted ?? "", /made with another key/);
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openKeyFile } from "@redoubt/custody";
import { Registry, type SignedStatement } from "@redoubt/registry";
import { join } from "node:path";
import { parseConfig } from "../config.ts";
import { signerEvents } from "../events.ts";
import { ringName, SIGNER_FILES } from "../initialise.ts";
import { Deployment } from "../testing/deployment.ts";
import { makeKey } from "./key-making.ts";
import { KeyRing } from "./key-ring.ts";
import { KeyStatements } from "./key-statements.ts";

/** The registry as a reader has it who has seen the first `count` items. */
function foldOf({ ledger, operatorKey }: Deployment, count = ledger.registry.size): Registry {
  const registry = new Registry({ operator: operatorKey });
  for (const [index, item] of ledger.registry.items.slice(0, count).entries())
    registry.apply({ index, ...item });
  return registry;
}

/** What the signer wires up around the making of keys, over a fold that the test replaces. */
function wired(deployment: Deployment, view: { registry: Registry }) {
  const { realm, custodian, clock, folder } = deployment;
  const { origin, rings } = parseConfig(deployment.config);
  const events = signerEvents(deployment.events.sink);
  const registry = (): Registry => view.registry;
  const ring = new KeyRing({ realm, origin, policies: rings, registry, custodian, clock, events });
  const { privateKey } = openKeyFile(join(folder, SIGNER_FILES.ring));
  const ringSigner = { name: ringName(realm), privateKey };
  const append = async (signed: SignedStatement): Promise<void> => {
    deployment.ledger.state(signed);
    view.registry = foldOf(deployment);
  };
  const shared = { realm, registry, ringSigner, clock, events };
  const statements = new KeyStatements({ ...shared, append });
  const [policy] = rings;
  assert.ok(policy);
  return () => makeKey({ ...shared, origin, ring, custodian, statements }, policy);
}

describe("a new key", () => {
  it("P1: has no scope while the registry as read so far names no realm; it is kept for when it does", async () => {
    await using deployment = new Deployment();
    deployment.register();
    const { ledger, custodian } = deployment;
    const { size } = ledger.registry;
    // A reading from the beginning that broke off before the realm's own statement.
    const view = { registry: foldOf(deployment, 0) };
    const make = wired(deployment, view);
    for (let attempt = 0; attempt < 2; attempt += 1)
      await assert.rejects(make(), { code: "ERR_SIGNER_REALM" });
    assert.deepEqual([ledger.registry.size, custodian.generated], [size, 1]);
    view.registry = foldOf(deployment);
    await make();
    assert.deepEqual([ledger.registry.size, custodian.generated], [size + 1, 1]);
    const [key] = view.registry.keys.values();
    assert.equal(key?.record.realm, "enterprise");
    assert.equal(key.record.issuer, "https://login.test/{tenantid}/v2.0");
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeSystem } from "./testing/fake-system.ts";

const TENANT = "6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0001";
const NAME = { realm: "enterprise", tenant: TENANT } as const;
const TENANT_STATEMENT = {
  type: "tenant",
  ...NAME,
  status: "active",
  audiences: ["api://orders"],
} as const;
const CLIENT_STATEMENT = {
  type: "client",
  ...NAME,
  client: "billing",
  status: "active",
  audiences: ["api://orders"],
  scopes: [],
} as const;

test("a statement counts when the registry shows it, at the index that the ledger says", async () => {
  const { system, operator } = await FakeSystem.start();
  await using _ = system;
  assert.equal(await operator.state(TENANT_STATEMENT), 2);
  assert.equal(operator.registry.tenants.get(`enterprise/${TENANT}`)?.status, "active");
  const { ledger, registry } = system;
  const taken = { head: { index: 3, size: 4, checkpoint: "x" } };
  ledger.misbehave = ({ op }, honest) => (op === "append" ? taken : honest());
  // Acknowledged, and kept back.
  await assert.rejects(operator.state(CLIENT_STATEMENT), { code: "ERR_REGISTRY" });
  // Acknowledged, and another in its place.
  ledger.misbehave = ({ op }, honest) => {
    if (op !== "append") return honest();
    const [, , tenant] = registry.batches;
    assert.ok(tenant);
    registry.batches.push({ ...tenant });
    return taken;
  };
  await assert.rejects(operator.state(CLIENT_STATEMENT), { code: "ERR_REGISTRY" });
  assert.equal(operator.registry.clients.size, 0);
});

test("what the registry's rules make void is found before it gets there", async () => {
  const { system, operator } = await FakeSystem.start();
  await using _ = system;
  const length = system.registry.size;
  for (const body of [
    CLIENT_STATEMENT,
    { ...TENANT_STATEMENT, realm: "nowhere" },
    { ...TENANT_STATEMENT, tenant: "9188040d-6c67-4c5b-b112-36a304b66dad" },
  ] as const)
    await assert.rejects(operator.state(body), { code: "ERR_REGISTRY_VOID" }, JSON.stringify(body));
  assert.equal(system.registry.size, length);
  await operator.state(TENANT_STATEMENT);
  await operator.state(CLIENT_STATEMENT);
  assert.equal(system.registry.size, length + 2);
});

const METADATA = {
  realm: "enterprise",
  instance: "one",
  log: "log",
  maxTtlSeconds: 3600,
  custody: "sealed-file",
  isolation: "none",
  ready: true,
  problem: null,
  size: 0,
  issuerStatements: 0,
  pending: 0,
  cosigned: null,
  labels: [],
};
const STATUS = {
  realm: "enterprise",
  ready: true,
  tenants: 0,
  clients: 0,
  tokens: { issued: 0, refused: 0, underWay: 0 },
  deliveries: { waiting: 0, lost: 0, failing: false },
};

test("issuer and signer that read the registry are waited for, 10 s at most", async (t) => {
  const { system, operator } = await FakeSystem.start();
  await using _ = system;
  const size = operator.registry.size;
  let asked = 0;
  let catchesUpAt = 2;
  let issuerSize = size;
  let lateMs = 0;
  const now = performance.now.bind(performance);
  t.mock.method(performance, "now", () => now() + lateMs);
  await system.serve("signer-enterprise", "operator", ({ op }) => {
    assert.equal(op, "metadata");
    asked += 1;
    lateMs = asked * 5001;
    return { head: { ...METADATA, registrySize: asked >= catchesUpAt ? size : size - 1 } };
  });
  await system.serve("issuer-enterprise", "operator", ({ op }) => {
    assert.equal(op, "status");
    return { head: { ...STATUS, registrySize: issuerSize } };
  });
  await operator.realmCaughtUp("enterprise");
  assert.equal(asked, 2);
  catchesUpAt = 5;
  const behind = { code: "ERR_REALM_BEHIND", message: /enterprise has not read/ } as const;
  await assert.rejects(operator.realmCaughtUp("enterprise"), behind);
  assert.equal(asked, 4);
  issuerSize = size - 1;
  await assert.rejects(operator.realmCaughtUp("enterprise"), behind);
  issuerSize = size;
  await operator.realmCaughtUp("enterprise");
});

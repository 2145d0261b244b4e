import assert from "node:assert/strict";
import { test } from "node:test";
import { putClient, putTenant } from "./tenancy.ts";
import { setClientStatus } from "./tenancy/clients.ts";
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
  assert.equal(operator.indexOf("tenant", `enterprise/${TENANT}`), 2);
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

test("a client that the registry does not hold is neither changed nor told to the issuer", async () => {
  const { system, operator } = await FakeSystem.start();
  await using _ = system;
  const told: string[] = [];
  await system.serve("issuer-enterprise", "operator", ({ op }) => {
    if (op === "clients.list") return { head: { clients: [] } };
    told.push(op);
    return { head: {} };
  });
  await operator.state(TENANT_STATEMENT);
  const billing = { ...NAME, client: "billing" };
  const auth = { secret: "s" };
  const unknown = { code: "ERR_CLIENT_UNKNOWN" } as const;
  const put = () => putClient(operator, operator.registry, { ...billing, auth });
  await assert.rejects(setClientStatus(operator, billing, "disabled"), unknown);
  await assert.rejects(put(), unknown);
  assert.deepEqual(told, []);
  await operator.state(CLIENT_STATEMENT);
  const other = { ...billing, client: "Billing" };
  await assert.rejects(setClientStatus(operator, other, "disabled"), unknown);
  assert.equal((await setClientStatus(operator, billing, "disabled")).status, "disabled");
  await putTenant(operator, operator.registry, "enterprise", TENANT);
  await put();
  assert.deepEqual(told, ["tenants.put", "clients.put"]);
});

test("a signer that reads the registry is waited for, 10 s at most", async (t) => {
  const { system, operator } = await FakeSystem.start();
  await using _ = system;
  const size = operator.registry.size;
  let asked = 0;
  let catchesUpAt = 2;
  let lateMs = 0;
  const now = performance.now.bind(performance);
  t.mock.method(performance, "now", () => now() + lateMs);
  await system.serve("signer-enterprise", "operator", ({ op }) => {
    assert.equal(op, "fetchKeys");
    asked += 1;
    lateMs = asked >= 4 ? 10_001 : 0;
    const asOf = asked >= catchesUpAt ? size : size - 1;
    return { head: { asOf, asOfSeconds: 0, keys: [], refreshHintSeconds: 300 } };
  });
  await operator.signerCaughtUp("enterprise");
  assert.equal(asked, 2);
  catchesUpAt = 5;
  const waiting = operator.signerCaughtUp("enterprise");
  await assert.rejects(waiting, { code: "ERR_SIGNER_BEHIND", message: /enterprise signer/ });
  assert.equal(asked, 4);
  await operator.signerCaughtUp("enterprise");
});

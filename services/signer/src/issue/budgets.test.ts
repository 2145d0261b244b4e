import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Deployment, OTHER_TENANT, refusalOf, WANTED } from "../testing/deployment.ts";
import { Budgets } from "./budgets.ts";

const USED_UP = { code: "ERR_SIGNER_BUDGET", fields: { retryAfterSeconds: 1 } };

function open(perSecond = 2, burst = 3) {
  let nowMs = 0;
  const budgets = new Budgets({ perSecond, burst }, () => nowMs);
  const forward = (ms: number): void => {
    nowMs += ms;
  };
  return { budgets, forward };
}

describe("budgets", () => {
  it("give the burst, then the rate, and never more than the burst", () => {
    const { budgets, forward } = open();
    for (let count = 0; count < 3; count += 1) budgets.take("issuer", "t", "c");
    assert.throws(() => budgets.take("issuer", "t", "c"), USED_UP);
    forward(499);
    assert.throws(() => budgets.take("issuer", "t", "c"), USED_UP);
    forward(1);
    budgets.take("issuer", "t", "c");
    assert.throws(() => budgets.take("issuer", "t", "c"), USED_UP);
    forward(1_000_000);
    for (let count = 0; count < 3; count += 1) budgets.take("issuer", "t", "c");
    assert.throws(() => budgets.take("issuer", "t", "c"), USED_UP);
  });

  it("one caller, tenant or client spends nothing of another's", () => {
    const { budgets } = open(1, 1);
    budgets.take("issuer", "t", "c");
    assert.throws(() => budgets.take("issuer", "t", "c"), USED_UP);
    budgets.take("drill", "t", "c");
    budgets.take("issuer", "u", "c");
    budgets.take("issuer", "t", "d");
  });

  it("a caller over its budget gets its own code, and no alarm is raised", async () => {
    await using deployment = await Deployment.start();
    await deployment.openReady({}, { budget: { perSecond: 1, burst: 2 } });
    const client = deployment.client();
    await client.request(WANTED);
    await client.request(WANTED);
    const { signed } = deployment.custodian;
    assert.equal(await refusalOf(client.request(WANTED)), "ERR_SIGNER_BUDGET");
    assert.equal(deployment.custodian.signed, signed);
    const handle = { ...WANTED.handle, tenant: OTHER_TENANT };
    await client.request({ ...WANTED, handle });
    deployment.clock.forward(1);
    await client.request(WANTED);
    assert.equal(deployment.monitor.told.all.length, 0);
  });
});

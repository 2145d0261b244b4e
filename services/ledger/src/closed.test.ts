import assert from "node:assert/strict";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { logId } from "@redoubt/tlog";
import {
  CONSUMER,
  createDeployment,
  ENTERPRISE,
  refusalOf,
  type Deployment,
} from "./testing/deployment.ts";
import { randomEntries } from "./testing/writer.ts";

/** Five consumer entries, published; then a stop. */
async function fill(deployment: Deployment): Promise<void> {
  await using ledger = await deployment.open();
  await using consumer = deployment.connect("signer-consumer");
  const batch = deployment.consumer.next(randomEntries(5));
  await consumer.request(batch.head, batch.attachment);
  await ledger.publish();
}

function close(deployment: Deployment): void {
  const { logs } = deployment.configJson;
  assert.ok(Array.isArray(logs));
  deployment.configJson = {
    ...deployment.configJson,
    logs: logs.map((log) => {
      assert.ok(typeof log === "object" && log !== null && "log" in log);
      return log["log"] === CONSUMER ? { ...log, closed: true } : log;
    }),
  };
}

test("a closed log is read and proven, and takes nothing", async () => {
  await using deployment = await createDeployment();
  await fill(deployment);
  close(deployment);
  const { asked } = deployment.witness;
  const before = asked.length;
  await using ledger = await deployment.open();
  await using consumer = deployment.connect("signer-consumer");
  await using monitor = deployment.connect("monitor");
  const next = deployment.consumer.next();
  assert.equal(await refusalOf(consumer.request(next.head, next.attachment)), "ERR_LEDGER_CLOSED");
  const open = consumer.request({ op: "openLog", log: CONSUMER });
  assert.equal(await refusalOf(open), "ERR_LEDGER_CLOSED");
  const read = await monitor.request({ op: "entries", log: CONSUMER, from: 0, max: 10 });
  assert.deepEqual([read.head.count, read.head.size], [5, 5]);
  const proof = await monitor.request({ op: "proveGrowth", log: CONSUMER, size1: 5, size2: 5 });
  assert.deepEqual(proof.head.proof, []);
  await ledger.publish();
  assert.deepEqual(
    asked.slice(before).filter((body) => body.includes(CONSUMER)),
    [],
  );
  assert.match(JSON.stringify(ledger.status()), /"closed":true,"halted":null/);
  assert.equal(JSON.stringify(ledger.metrics()).includes(CONSUMER), false);
});

test("a log whose key is gone stops alone, and is read again once it is closed", async () => {
  await using deployment = await createDeployment();
  await fill(deployment);
  const keys = join(deployment.folder, "keys");
  assert.ok(readdirSync(keys).includes(logId(CONSUMER)));
  rmSync(join(keys, logId(CONSUMER)));
  {
    await using _ = await deployment.open();
    await using consumer = deployment.connect("signer-consumer");
    await using enterprise = deployment.connect("signer-enterprise");
    const state = consumer.request({ op: "state", log: CONSUMER });
    assert.equal(await refusalOf(state), "ERR_LEDGER_HALTED");
    const { fields } = await deployment.event("log_halted");
    assert.match(String(fields.reason), /key of .* is gone/);
    const batch = deployment.enterprise.next();
    assert.equal((await enterprise.request(batch.head, batch.attachment)).head.size, 1);
    assert.deepEqual((await enterprise.request({ op: "state", log: ENTERPRISE })).head.size, 1);
  }
  close(deployment);
  await using _ = await deployment.open();
  await using monitor = deployment.connect("monitor");
  const read = await monitor.request({ op: "entries", log: CONSUMER, from: 0, max: 10 });
  assert.equal(read.head.count, 5);
});

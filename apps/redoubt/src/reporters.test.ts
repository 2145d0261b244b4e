import assert from "node:assert/strict";
import { test } from "node:test";
import { reporterPublicKey } from "@redoubt/registry";
import { REGISTRY_LOG } from "./layout.ts";
import { Operator } from "./operator.ts";
import { FakeSystem } from "./testing/fake-system.ts";
import { addReporter, disableReporter, listReporters, rotateReporter } from "./reporters.ts";
import { MONITOR, type Answered } from "@redoubt/wire";

const ignore = (): void => undefined;
const OPTION = { code: "ERR_OPTION" } as const;
const UNKNOWN = { code: "ERR_REPORTER_UNKNOWN" } as const;

type Status = Answered<typeof MONITOR.status>;

/** What a monitor says that has read so much of the registry. */
function statusOf(size: number, reporters: NonNullable<Status["reporters"]>): object {
  const logs = [{ log: REGISTRY_LOG, size, cosigned: size, halted: null }];
  return MONITOR.status.answer.write({ witness: "w", labels: [], ready: true, logs, reporters });
}

/** With a monitor that has read everything, and that one reporter reported to. */
async function start() {
  const { system, operator } = await FakeSystem.start();
  await system.serve("monitor", "operator", () => ({
    head: statusOf(system.registry.size, [
      { reporter: "orders-1", status: "active", lastReport: 1_764_000_000, openMisses: 0 },
      { reporter: "orders-2", status: "active", lastReport: null, openMisses: 0 },
    ]),
  }));
  const keyOf = (name: string) => operator.registry.reporters.get(name)?.publicKey;
  return { system, operator, keyOf };
}

test("a reporter gets a secret of 256 bits, of which the registry keeps the public key", async () => {
  const { system, operator, keyOf } = await start();
  await using _ = system;
  const one = await addReporter(operator, "orders-1", ignore);
  const two = await addReporter(operator, "orders-2", ignore);
  assert.match(one.secret, /^[\w-]{43}$/);
  assert.notEqual(one.secret, two.secret);
  assert.equal(keyOf("orders-1"), reporterPublicKey(one.secret));
  assert.deepEqual([one.status, one.changed, one.inForce], ["active", true, true]);
});

test("the secret is kept before it is stated; where it cannot be kept, nothing is stated", async () => {
  const { system, operator, keyOf } = await start();
  await using _ = system;
  const full = () => {
    assert.equal(keyOf("orders-1"), undefined);
    throw new Error("disk is full");
  };
  await assert.rejects(addReporter(operator, "orders-1", full), /disk is full/);
  assert.equal((await operator.readRegistry()).reporters.size, 0);
  const kept: string[] = [];
  const { secret } = await addReporter(operator, "orders-1", (text) => kept.push(text));
  assert.deepEqual(kept, [secret]);
});

test("a name that is there is not added again, whatever its status", async () => {
  const { system, operator, keyOf } = await start();
  await using _ = system;
  await addReporter(operator, "orders-1", ignore);
  const before = keyOf("orders-1");
  const rotate = { ...OPTION, message: /\(active\).*redoubt reporters rotate orders-1/ };
  await assert.rejects(addReporter(operator, "orders-1", ignore), rotate);
  await disableReporter(operator, "orders-1");
  const disabled = { ...OPTION, message: /\(disabled\).*redoubt reporters rotate orders-1/ };
  await assert.rejects(addReporter(operator, "orders-1", ignore), disabled);
  assert.equal(keyOf("orders-1"), before);
});

test("names are what the registry takes", async () => {
  const { system, operator } = await start();
  await using _ = system;
  for (const name of ["", "a b", "a:b", "ä", "a\n", "n".repeat(65)])
    await assert.rejects(addReporter(operator, name, ignore), OPTION, name);
  for (const name of ["A.b_c-1", "n".repeat(64)]) await addReporter(operator, name, ignore);
});

test("rotate replaces the secret, and brings a disabled reporter back", async () => {
  const { system, operator, keyOf } = await start();
  await using _ = system;
  const { secret } = await addReporter(operator, "orders-1", ignore);
  const next = await rotateReporter(operator, "orders-1", ignore);
  assert.notEqual(next.secret, secret);
  assert.equal(keyOf("orders-1"), reporterPublicKey(next.secret));
  await disableReporter(operator, "orders-1");
  const back = await rotateReporter(operator, "orders-1", ignore);
  assert.equal(operator.registry.reporters.get("orders-1")?.status, "active");
  assert.equal(keyOf("orders-1"), reporterPublicKey(back.secret));
  await assert.rejects(rotateReporter(operator, "Orders-1", ignore), UNKNOWN);
});

test("disable ends a reporter once, and says since when", async () => {
  const { system, operator } = await start();
  await using _ = system;
  await addReporter(operator, "orders-1", ignore);
  const ended = await disableReporter(operator, "orders-1");
  assert.deepEqual([ended.status, ended.changed, ended.inForce], ["disabled", true, true]);
  const length = system.registry.size;
  const again = await disableReporter(operator, "orders-1");
  assert.deepEqual(again, { ...ended, changed: false });
  assert.equal(system.registry.size, length);
  await assert.rejects(disableReporter(operator, "orders-9"), UNKNOWN);
});

test("list has each reporter, and when it reported last by the monitor's word", async () => {
  const { system, operator } = await start();
  await using _ = system;
  await addReporter(operator, "orders-1", ignore);
  await addReporter(operator, "orders-2", ignore);
  const listed = await listReporters(operator);
  assert.deepEqual(
    listed.map(({ reporter, status, lastReport }) => [reporter, status, lastReport]),
    [
      ["orders-1", "active", 1_764_000_000],
      ["orders-2", "active", null],
    ],
  );
  for (const { reporter, since } of listed)
    assert.equal(since, operator.registry.reporters.get(reporter)?.at);
});

test("what is said is in force when the monitor has read it", async () => {
  const { system, operator } = await FakeSystem.start();
  await using _ = system;
  let asked = 0;
  await system.serve("monitor", "operator", () => {
    asked += 1;
    const size = asked < 3 ? system.registry.size - 1 : system.registry.size;
    return { head: statusOf(size, []) };
  });
  assert.equal((await addReporter(operator, "orders-1", ignore)).inForce, true);
  assert.equal(asked, 3);
});

test("a monitor that is down keeps nobody from ending a secret; the answer says that it is not in force", async () => {
  const { system } = await FakeSystem.start();
  await using _ = system;
  await using operator = new Operator(system.root, system.settings, { connectTimeoutMs: 100 });
  const { inForce } = await addReporter(operator, "orders-1", ignore);
  assert.equal(inForce, false);
  assert.equal((await disableReporter(operator, "orders-1")).status, "disabled");
  assert.equal((await listReporters(operator))[0]?.lastReport, undefined);
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { activeOf, standbys } from "@redoubt/keys";
import type { Registry } from "@redoubt/registry";
import { CountingCustodian } from "../testing/counting-custodian.ts";
import { TENANT, TIMES } from "../testing/deployment.ts";
import { SharedRegistry, SharingSigner } from "../testing/shared-registry.ts";
import { TestClock } from "@redoubt/testkit";

const LOG = "redoubt.test/enterprise/a";
const OTHER_LOG = "redoubt.test/enterprise/b";
const HOUR = 3600;

const activeKids = ({ keys }: Registry): string[] =>
  [...keys.values()].filter(({ state }) => state === "active").map(({ kid }) => kid);

/** In each round time passes, and both signers take their turn at once, an order now and then in between. */
const round = fc.record({
  hours: fc.integer({ min: 0, max: 30 }),
  order: fc.constantFrom("none", "none", "takeOver", "taint"),
});

describe("P6: two signers of one realm", () => {
  it("on one ring never activate two keys, make no key twice, and say nothing that is void", async () => {
    let [rotations, lost] = [0, 0];
    await fc.assert(
      fc.asyncProperty(
        fc.array(round, { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat({ max: 12 }), { minLength: 8, maxLength: 64 }),
        async (rounds, delays) => {
          const clock = new TestClock();
          const custodian = new CountingCustodian();
          const shared = new SharedRegistry(clock, [LOG]);
          let next = 0;
          const yields = (): number => delays[(next += 1) % delays.length] ?? 0;
          const parts = { origin: LOG, clock, custodian, yields };
          const signers = [new SharingSigner(shared, parts), new SharingSigner(shared, parts)];
          for (const { hours, order } of rounds) {
            clock.forward(hours * HOUR);
            await Promise.all(
              signers.map((signer, i) => act(signer, i === 0 ? order : "none", clock)),
            );
            await Promise.all(signers.map((signer) => signer.turn()));
            checkRing(shared, signers);
          }
          lost += signers.reduce((sum, signer) => sum + signer.lostSwaps, 0);
          rotations += custodian.generated - 2;
        },
      ),
      { numRuns: 15 },
    );
    // They did get in each other's way.
    assert.ok(rotations > 10 && lost > 30, `${rotations} ${lost}`);
  });

  it("each with its own log have a ring each, and leave the other's alone", async () => {
    const clock = new TestClock();
    const shared = new SharedRegistry(clock, [LOG, OTHER_LOG]);
    const signers = [LOG, OTHER_LOG].map(
      (origin) =>
        new SharingSigner(shared, {
          origin,
          clock,
          custodian: new CountingCustodian(),
          yields: () => 3,
        }),
    );
    for (let count = 0; count < 12; count += 1) {
      await Promise.all(signers.map((signer) => signer.turn()));
      await Promise.all(signers.map((signer) => signer.read()));
      const [a, b] = signers.map((signer) => signer.ring.activeKey(TENANT, "at"));
      assert.deepEqual([a?.record.log, b?.record.log], [LOG, OTHER_LOG]);
      for (const { registry, voids } of signers)
        assert.deepEqual([activeKids(registry).length, voids], [2, 0]);
      clock.forward(TIMES.activeSeconds / 2);
    }
  });
});

async function act(signer: SharingSigner, order: string, clock: TestClock): Promise<void> {
  const [ring] = signer.steps.rings;
  if (!ring || order === "none") return await signer.turn();
  await signer.read();
  await signer.steps.inOrder(async () => {
    const standby = standbys(ring, clock.seconds).find(({ readyAt }) => readyAt <= clock.seconds);
    const active = activeOf(ring);
    if (order === "takeOver" && standby) await signer.steps.takeOver(ring, standby.key.kid, "test");
    if (order === "taint" && active) await signer.steps.statements.taint(active, "test");
    await signer.steps.step();
  });
}

/** Every prefix of the registry has one active key at most, and both signers use the newest one. */
function checkRing(shared: SharedRegistry, signers: readonly SharingSigner[]): void {
  const fold = shared.newFold();
  for (const item of shared.items) {
    assert.notEqual(fold.apply({ index: fold.size, ...item }).kind, "void");
    assert.ok(activeKids(fold).length <= 1);
  }
  const states = [...fold.keys.values()].map(({ state }) => state);
  assert.equal(states.filter((state) => state === "prepublished" || state === "active").length, 2);
  for (const { ring, voids } of signers) {
    ring.refresh();
    assert.deepEqual([ring.activeKey(TENANT, "at")?.kid, voids], [activeKids(fold)[0], 0]);
  }
}

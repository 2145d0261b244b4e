import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  defaultRotationPolicy,
  dueStep,
  parseRotationPolicy,
  type RotationPolicy,
} from "@redoubt/keys";
import type { KeyInfo } from "@redoubt/registry";
import { BUNDLE_MAX_AGE } from "./clients.ts";
import { simulate, type Findings, type SimulationOptions } from "./simulation.ts";

const SUBJECT = { tenants: "many", maxLifetimeSeconds: 3600 } as const;
const POLICY = defaultRotationPolicy(SUBJECT);
/** As fast as the longest cache allows: the lead is most of a key's life. */
const FAST = parseRotationPolicy(
  {
    lifetimeActions: [{ trigger: { timeAfterCreate: "PT12H" }, action: { type: "Rotate" } }],
    redoubt: { shortDurations: true },
  },
  SUBJECT,
);
/** For a longer run: `REDOUBT_SIMULATION_YEARS=20 REDOUBT_SIMULATION_SEED=7 npm test tests/simulation/*.test.ts`. */
const YEARS = Number(process.env["REDOUBT_SIMULATION_YEARS"] ?? 0.6);
const SEED = Number(process.env["REDOUBT_SIMULATION_SEED"] ?? 20_261_124);

const RUNS = [
  [POLICY, YEARS],
  [FAST, YEARS / 12],
] as const;

function run(change: Partial<SimulationOptions> & Pick<SimulationOptions, "policy">) {
  return simulate({ seed: SEED, years: YEARS, weather: "storm", ...change });
}

/** Automation as it was in 2021: it does not know that a key is to be kept. */
const forgetsRetain: typeof dueStep<KeyInfo> = (ring, now) => {
  const keys = ring.keys.map(withoutRetain);
  return dueStep({ ...ring, keys }, now);
};

function withoutRetain({ retainedBy: _retainedBy, ...key }: KeyInfo): KeyInfo {
  return key;
}

describe("THREAT-11, P6: rotation over simulated years", () => {
  it("in calm weather: nobody ever meets an unknown kid, and not one token is refused", async () => {
    for (const [policy, years] of RUNS) {
      const { violations, counts, voids } = await run({ policy, years, weather: "calm" });
      assert.deepEqual(violations, []);
      assert.deepEqual([counts.unsigned, voids], [0, 0]);
      assert.ok(
        counts.keys > 50 * years && counts.checks > 600_000 * years,
        JSON.stringify(counts),
      );
      if (policy === POLICY) happened(counts, ["rotate"]);
    }
  });

  it("in a storm: inside the grace nobody meets an unknown kid, beyond it bundle verifiers say stale", async () => {
    for (const [policy, years] of RUNS) {
      const { violations, counts, voids } = await run({ policy, years });
      assert.deepEqual(violations, []);
      assert.equal(voids, 0);
      happened(counts, ["stale", "unknownBeyondLead"]);
      if (policy === POLICY) happened(counts, ["rotate", "taint", "rollback", "retain"]);
    }
  });

  it("with the lead at half the cache the same simulation fails", async () => {
    const policy: RotationPolicy = { ...POLICY, prepublishSeconds: BUNDLE_MAX_AGE / 2 };
    const { violations } = await run({ policy });
    assert.match(violations.join(), /does not know/);
  });

  it("with withdrawal before the last token has ended it fails", async () => {
    const { violations } = await run({ policy: { ...POLICY, verifyOnlySeconds: 1800 } });
    assert.match(violations.join(), /does not know/);
  });

  it("2021: automation that withdraws a retained key is refused by the registry, and the key stays", async () => {
    const { violations, counts, voids } = await run({
      policy: POLICY,
      years: YEARS / 4,
      decide: forgetsRetain,
    });
    assert.deepEqual(violations, []);
    assert.ok(voids > 0);
    happened(counts, ["retain"]);
  });

  it("2021: where the registry does not know of retain either, the same simulation fails", async () => {
    const blind = { policy: POLICY, decide: forgetsRetain, foldsRetain: false };
    const { violations } = await run(blind);
    assert.match(violations.join(), /retained key \S+ was withdrawn/);
  });
});

function happened(counts: Findings["counts"], names: readonly (keyof Findings["counts"])[]): void {
  for (const name of names) assert.ok(counts[name] > 0, `${name} in ${JSON.stringify(counts)}`);
}

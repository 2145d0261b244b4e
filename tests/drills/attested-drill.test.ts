import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { parseJsonObject } from "@redoubt/verify/json";
import { redoubt } from "../e2e/system.ts";

/** Who stopped what, by name: THREAT-13, THREAT-14, THREAT-15, THREAT-30 and P5. */
const STOPPED = [
  ["THREAT-13", "broker", "ERR_EVIDENCE_REFUSED", "boots an altered image"],
  ["THREAT-14", "broker", "ERR_BROKER_NONCE", "replays nonce and evidence"],
  ["THREAT-14", "broker", "ERR_EVIDENCE_BINDING", "shows old evidence for a new nonce"],
  [
    "THREAT-14",
    "broker",
    "ERR_EVIDENCE_BINDING",
    "relays a machine's evidence for keys of its own",
  ],
  ["P5", "gateway", "ERR_LEASE_REALM", "uses the other realm's keys with its lease"],
  ["THREAT-15", "gateway", "ERR_LEASE_SESSION", "goes on with its open session after the lease"],
  ["THREAT-15", "gateway", "ERR_LEASE_EXPIRED", "begins a lease that has ended"],
  ["THREAT-30", "signer", "ERR_LEASE_IMAGE", "runs an image below the floor"],
  ["THREAT-30", "broker", "ERR_BROKER_POLICY", "puts older reference values back in place"],
];

function leftovers(): readonly string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith("redoubt-drill-"));
}

test("redoubt drill attested: each attack on leases is stopped by name, and every control accepted", async () => {
  const before = leftovers();
  const { code, stdout, stderr } = await redoubt(["--json", "drill", "attested"]);
  assert.equal(code, 0, stderr + stdout);
  const outcomes = stdout
    .trim()
    .split("\n")
    .map((line) => parseJsonObject(line));
  const stopped = outcomes.filter((outcome) => outcome["stopped"] === true);
  assert.deepEqual(
    stopped.map((one) => [one["threat"], one["layer"], one["code"], one["attempt"]]),
    STOPPED,
  );
  const controls = outcomes.filter((outcome) => outcome["control"] === true);
  assert.deepEqual(
    controls.map((one) => one["code"]),
    ["accepted", "accepted", "accepted"],
  );
  assert.match(stderr, /9 attempts, 0 not stopped/);
  assert.deepEqual(leftovers(), before);
});

// Fifty rounds of faults under load (or as many as the first argument says; the second is the seed of their order),
// then clocks that step, and a monitor that reads a million entries. Fails where the promise was not kept.
import { randomInt } from "node:crypto";
import type { System } from "../e2e/system.ts";
import { catchUp } from "./catch-up.ts";
import { clockSteps, stepsOf } from "./clock-steps.ts";
import { faultsOf } from "./faults.ts";
import { Machine } from "./machine.ts";
import { soak } from "./soak.ts";
import { alarmText, clockViolationsOf, violationsOf } from "./violations.ts";

const DEFAULT_ROUNDS = 50;
/** Fewer rounds are a try, and read fewer entries. */
const LONG_ROUNDS = 10;
const LONG = { entries: 1_000_000, more: 200_000 };
const SHORT = { entries: 100_000, more: 20_000 };
const CATCH_UP_LIMIT_SECONDS = 60;
/** Deadlines of the monitor for what never got its other half, and its alarms that end by themselves. */
const SETTLE_MS = 120_000;
const CLOCK_HOLD_MS = 5000;

/** More than the tokens of a long run take, so that it is full only when a fault fills it. */
const DISK_BYTES = 1024 ** 3;

const rounds = Number(process.argv[2] ?? DEFAULT_ROUNDS);
const seed = Number(process.argv[3] ?? randomInt(1, 2 ** 32));
const say = (line: string): void => console.log(line);
say(`seed ${seed}, ${rounds} rounds`);
const violations: string[] = [];

// An end that runs what is left to do at the end: nothing stays mounted.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

const faulty = await faultPhase();
const clocks = await clockPhase();
const reading = await catchUpPhase();
for (const violation of violations) say(`VIOLATION ${violation}`);
say(JSON.stringify({ seed, ...faulty, clocks, catchUp: reading, violations: violations.length }));
if (violations.length > 0) process.exitCode = 1;

async function faultPhase() {
  await using machine = await Machine.start({ diskBytes: DISK_BYTES, hasHsm: true });
  const { missing } = machine;
  for (const [kind, why] of missing) say(`LEFT OUT ${kind}: ${why}`);
  const options = { faults: faultsOf(seed, rounds, missing), onLine: say, settleMs: SETTLE_MS };
  const result = await soak(machine, options);
  for (const alarm of [...result.crowded, ...result.expected]) say(`expected ${alarmText(alarm)}`);
  violations.push(...violationsOf(result));
  const drill = await drillPhase(machine.system);
  return {
    ...result,
    lost: result.lost.length,
    falseCritical: result.falseCritical.length,
    notices: result.notices.length,
    crowded: result.crowded.length,
    expected: result.expected.length,
    leftOut: Object.fromEntries(missing),
    open: result.open.length,
    verifier: { ...result.verifier, refusals: result.verifier.refusals.length },
    drill,
  };
}

/** After all that, a true forgery is still noticed. */
async function drillPhase(system: System): Promise<"alarmed" | "failed"> {
  const { code, stdout, stderr } = await system.redoubt(["drill", "storm-0558"]);
  say(`${stdout}${stderr}`.trim());
  if (code === 0) return "alarmed";
  violations.push(`the drill fails after the soak, exit code ${code}`);
  return "failed";
}

async function clockPhase() {
  const result = await clockSteps({
    steps: stepsOf(seed, rounds),
    holdMs: CLOCK_HOLD_MS,
    onLine: say,
    settleMs: SETTLE_MS,
  });
  violations.push(...clockViolationsOf(result));
  const { rounds: steps, tokens, refused, lost, falseCritical, notices, open, verifier } = result;
  return {
    rounds: steps,
    tokens,
    refused,
    lost: lost.length,
    falseCritical: falseCritical.length,
    notices: notices.length,
    open: open.length,
    verifier: { ...verifier, refusals: verifier.refusals.length },
  };
}

async function catchUpPhase() {
  const { entries, more } = rounds < LONG_ROUNDS ? SHORT : LONG;
  say(`a monitor reads ${entries} entries, and ${more} more when it comes back`);
  const looks = await catchUp(entries, more);
  for (const { read, size, seconds, alarms } of looks) {
    say(`catch-up: ${read} of ${size} entries, ${seconds.toFixed(1)} s, ${alarms.join(", ")}`);
    if (read !== size || seconds > CATCH_UP_LIMIT_SECONDS)
      violations.push(`catch-up: ${read} of ${size} entries after ${seconds} s`);
  }
  return looks.map(({ read, seconds }) => ({ read, seconds: Math.round(10 * seconds) / 10 }));
}

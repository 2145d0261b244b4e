import { setTimeout as pause } from "node:timers/promises";
import { systemClock, type Clock } from "@redoubt/base";
import { compose, type Composed } from "../drills/compose.ts";
import { Random } from "../simulation/random.ts";
import { AlarmBook } from "./alarm-book.ts";
import { shuffled } from "./faults.ts";
import { loggedDigests } from "./logged-digests.ts";
import { ReportingVerifier } from "./reporting-verifier.ts";
import { settled } from "./settled.ts";
import type { SoakResult } from "./soak.ts";
import { endpointsOf, TokenLoad } from "./token-load.ts";
import { ask, MONITOR } from "@redoubt/wire";

const STEPPED = ["monitor", "signer-consumer", "signer-enterprise"] as const;
type Stepped = (typeof STEPPED)[number];

/** One service's clock is wrong for a while: its wall clock, as the monotonic one never steps. */
export interface Step {
  readonly service: Stepped;
  readonly seconds: number;
}

/** `notBack`: also steps after which the monitor did not see everything any more. */
export type ClockResult = Omit<
  SoakResult,
  "entries" | "blind" | "verifierBlind" | "slowestRecoveryMs" | "crowded" | "expected"
>;

export interface ClockOptions {
  readonly steps: readonly Step[];
  /** How long each clock is wrong. */
  readonly holdMs: number;
  readonly onLine: (line: string) => void;
  /** How long the monitor may take to judge what is left when the load has ended. */
  readonly settleMs: number;
}

const MONITOR_STEP_SECONDS = 3600;
const SIGNER_STEP_SECONDS = 20;
const WORKERS = 1;
const SAMPLE = 10;
const TOKENS = 20;
const TIMEOUT_MS = 30_000;

class SteppedClock implements Clock {
  offsetSeconds = 0;
  now(): number {
    return systemClock.now() + 1000 * this.offsetSeconds;
  }
  monotonic(): number {
    return systemClock.monotonic();
  }
}

/** Every service that steps, in both directions, in an order of the seed. */
export function stepsOf(seed: number, rounds: number): Step[] {
  const random = new Random(seed);
  const steps = STEPPED.flatMap((service) => {
    const seconds = service === "monitor" ? MONITOR_STEP_SECONDS : SIGNER_STEP_SECONDS;
    return [
      { service, seconds },
      { service, seconds: -seconds },
    ];
  });
  return shuffled(steps, random).slice(0, rounds);
}

/** Clocks that step and step back while tokens are taken: every service in this process, which owns their clocks. */
export async function clockSteps(options: ClockOptions): Promise<ClockResult> {
  const { steps, holdMs, onLine, settleMs } = options;
  const clocks = {
    monitor: new SteppedClock(),
    "signer-consumer": new SteppedClock(),
    "signer-enterprise": new SteppedClock(),
  };
  await using system = await compose({ clocks });
  await using verifier = await ReportingVerifier.open(system.folder);
  let taken = 0;
  const place = { folder: system.folder, base: system.settings.port };
  const load = new TokenLoad(endpointsOf(place), (token) => {
    taken += 1;
    if (taken % SAMPLE === 0) verifier.take(token);
  });
  const alarms = new AlarmBook(system.operator);
  load.start(WORKERS);
  const notBack: string[] = [];
  try {
    for (const [i, step] of steps.entries()) {
      const name = stepText(step);
      const problem = await runStep({ system, load, clock: clocks[step.service], holdMs }, step);
      if (problem !== undefined) notBack.push(`${name}: ${problem}`);
      const kinds = (await alarms.read(name)).map(({ kind, severity }) => `${severity} ${kind}`);
      onLine(
        `clock round ${i + 1}: ${name}: ${problem ?? "back"}, ${load.received.size} tokens, ` +
          `${load.refused} refused, alarms: ${kinds.join(", ") || "none"}`,
      );
    }
  } finally {
    await load.stop();
  }
  const isSettled = await settled(async () => {
    await verifier.flush();
    await alarms.read("after the clocks");
    await alarms.readOpen();
    return verifier.pending === 0
      ? await ask(system.operator.client("monitor"), MONITOR.status, {})
      : undefined;
  }, settleMs);
  const logged = await loggedDigests(system.operator);
  return {
    rounds: steps.length,
    tokens: load.received.size,
    refused: load.refused,
    lost: [...load.received].filter((digest) => !logged.has(digest)),
    notBack,
    falseCritical: alarms.critical,
    notices: [...alarms.notices, ...alarms.crowded],
    open: alarms.open,
    verifier: verifier.figures(),
    isSettled,
  };
}

function stepText({ service, seconds }: Step): string {
  return `clock of ${service} ${seconds > 0 ? "+" : ""}${seconds} s`;
}

interface Parts {
  readonly system: Composed;
  readonly load: TokenLoad;
  readonly clock: SteppedClock;
  readonly holdMs: number;
}

async function runStep(
  { system, load, clock, holdMs }: Parts,
  { seconds }: Step,
): Promise<string | undefined> {
  if (!(await load.more(TOKENS, TIMEOUT_MS))) return "clients get no tokens before it";
  clock.offsetSeconds = seconds;
  await pause(holdMs);
  clock.offsetSeconds = 0;
  if (!(await load.more(TOKENS, TIMEOUT_MS))) return "clients get no tokens after it";
  const deadline = performance.now() + TIMEOUT_MS;
  while (system.monitor.status()["ready"] !== true) {
    if (performance.now() > deadline) return "the monitor is not ready after it";
    await pause(100);
  }
  return undefined;
}

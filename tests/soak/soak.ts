import { setTimeout as pause } from "node:timers/promises";
import { Operator, readSettings } from "@redoubt/cli";
import { textOf } from "@redoubt/cli/drill";
import { errorLine } from "@redoubt/base";
import { AlarmBook, loggedAlarms, type SeenAlarm } from "./alarm-book.ts";
import type { Fault, TrueAlarm } from "./fault.ts";
import { loggedDigests } from "./logged-digests.ts";
import type { Machine } from "./machine.ts";
import { ReportingVerifier, type VerifierFigures } from "./reporting-verifier.ts";
import { settled } from "./settled.ts";
import { endpointsOf, TokenLoad } from "./token-load.ts";
import { Watcher, type Longest } from "./watcher.ts";

export interface SoakResult {
  readonly rounds: number;
  readonly tokens: number;
  readonly refused: number;
  readonly entries: number;
  /** Digests of tokens that a client holds and no log does. */
  readonly lost: readonly string[];
  /** The longest time in which the monitor did not see all that the logs hold. */
  readonly blind: Longest;
  /** The same as a verifier that reports knows it, by its acknowledgements. */
  readonly verifierBlind: Longest;
  readonly slowestRecoveryMs: number;
  /** What did not come back by itself. */
  readonly notBack: readonly string[];
  readonly falseCritical: readonly SeenAlarm[];
  readonly notices: readonly SeenAlarm[];
  /** Right while strangers take the connections; must end by itself. */
  readonly crowded: readonly SeenAlarm[];
  /** Right in the fault in which they were raised. */
  readonly expected: readonly SeenAlarm[];
  /** Alarms that nobody closed and that did not end. */
  readonly open: readonly SeenAlarm[];
  readonly verifier: VerifierFigures;
  /** Whether everything that was logged is judged. */
  readonly isSettled: boolean;
}

export interface SoakOptions {
  readonly faults: readonly Fault[];
  readonly onLine: (line: string) => void;
  /** How long the monitor may take to judge what is left when the load has ended. */
  readonly settleMs: number;
}

const RECOVERY_TIMEOUT_MS = 75_000;
const WORKERS = 4;
const SAMPLE = 10;
/** The longest deadline of the monitor is 45 s, and begins again where it starts again: twice in most runs. */
const LATE_MS = 150_000;
const TOKENS_BEFORE = 20;
/** Fewer than there are kinds: what is prepared is younger than the last fault of its kind. */
const PREPARED_ROUNDS_BEFORE = 3;

/** One fault after the other under load; then what clients hold, what the logs hold and what was alarmed. */
export async function soak(machine: Machine, options: SoakOptions): Promise<SoakResult> {
  const { system } = machine;
  await using operator = new Operator(system.folder, readSettings(system.folder));
  await using verifier = await ReportingVerifier.open(system.folder);
  let taken = 0;
  const load = new TokenLoad(endpointsOf(system), (token) => {
    taken += 1;
    if (taken % SAMPLE === 0) verifier.take(token);
  });
  const alarms = new AlarmBook(operator);
  const watcher = new Watcher({
    status: () => system.status(),
    verifierAgeSeconds: () => verifier.auditAgeSeconds,
  });
  load.start(WORKERS);
  const windows: Window[] = [];
  const rounds = await loaded({ machine, load, alarms, watcher, windows }, options);
  const isSettled = await settled(async () => {
    await verifier.flush();
    const { monitor = {} } = await system.status();
    await alarms.read("the end", lateAlarms(windows));
    await alarms.readOpen();
    return verifier.pending === 0 && !alarms.isCrowded ? monitor : undefined;
  }, options.settleMs);
  const logged = await loggedDigests(operator, machine.lostLedgers);
  const supervisor = loggedAlarms(system.folder);
  const isRight = (alarm: SeenAlarm): boolean => windows.some((window) => isIn(alarm, window));
  return {
    ...rounds,
    tokens: load.received.size,
    refused: load.refused,
    entries: logged.size,
    lost: [...load.received].filter((digest) => !logged.has(digest)),
    blind: watcher.blind,
    verifierBlind: watcher.verifierBlind,
    falseCritical: [...alarms.critical, ...supervisor.filter((alarm) => !isRight(alarm))],
    notices: alarms.notices,
    crowded: alarms.crowded,
    expected: [...alarms.expected, ...supervisor.filter(isRight)],
    open: alarms.open,
    verifier: verifier.figures(),
    isSettled,
  };
}

/** Watched as long as there is something to see: a verifier without tokens says only each minute that it is there. */
async function loaded(parts: Parts, options: SoakOptions) {
  try {
    return await runRounds(parts, options);
  } finally {
    await parts.load.stop();
    await parts.watcher[Symbol.asyncDispose]();
  }
}

interface Parts {
  readonly machine: Machine;
  readonly load: TokenLoad;
  readonly alarms: AlarmBook;
  readonly watcher: Watcher;
  readonly windows: Window[];
}

/** When a fault began and was over, in milliseconds since the epoch. */
interface Window {
  readonly fault: Fault;
  readonly from: number;
  readonly to: number;
}

function isIn({ kind, about }: SeenAlarm, { fault, from, to }: Window): boolean {
  const at = Date.parse(textOf(about["at"]));
  const isRight = fault.alarms?.some((right) => right.kind === kind) ?? false;
  return isRight && at >= from && at <= to;
}

/** What is right by now though its fault is over. */
function lateAlarms(windows: readonly Window[]): readonly TrueAlarm[] {
  return windows
    .filter(({ to }) => Date.now() - to < LATE_MS)
    .flatMap(({ fault }) => fault.alarms?.filter(({ isLate }) => isLate) ?? []);
}

type Rounds = Pick<SoakResult, "rounds" | "slowestRecoveryMs" | "notBack">;

async function runRounds(parts: Parts, { faults, onLine }: SoakOptions): Promise<Rounds> {
  const { load, watcher, alarms, windows } = parts;
  let slowestRecoveryMs = 0;
  for (const [i, fault] of faults.entries()) {
    const from = Date.now();
    const { problem, backMs } = await tryRound(parts, fault, preparedBefore(i, faults));
    windows.push({ fault, from, to: Date.now() });
    slowestRecoveryMs = Math.max(slowestRecoveryMs, backMs);
    const right = [...(fault.alarms ?? []), ...lateAlarms(windows)];
    const fresh = problem === undefined ? await alarms.read(fault.name, right) : [];
    const kinds = fresh.map(({ kind, severity }) => `${severity} ${kind}`);
    const [tokens, blind] = [load.received.size, watcher.blind.seconds];
    onLine(
      `round ${i + 1}: ${fault.name}: ${problem ?? `back after ${backMs} ms`}, ${tokens} tokens, ` +
        `longest blind ${blind} s, alarms: ${kinds.join(", ") || "none"}`,
    );
    if (problem !== undefined)
      return { rounds: i + 1, slowestRecoveryMs, notBack: [`${fault.name}: ${problem}`] };
  }
  return { rounds: faults.length, slowestRecoveryMs, notBack: [] };
}

/** What gets ready before round `i`, at the latest before the first one. */
function preparedBefore(i: number, faults: readonly Fault[]): readonly Fault[] {
  const end = i + PREPARED_ROUNDS_BEFORE;
  return faults.slice(i === 0 ? 0 : end, end + 1).filter(({ prepare }) => prepare);
}

interface Ended {
  readonly backMs: number;
  readonly problem?: string;
}

async function tryRound(parts: Parts, fault: Fault, prepared: readonly Fault[]): Promise<Ended> {
  try {
    return await runRound(parts, fault, prepared);
  } catch (error) {
    return { backMs: 0, problem: errorLine(error) };
  }
}

/** Ready again, and both realms' clients get tokens again: by itself, or by what the fault's end does. */
async function runRound(
  { machine, load, alarms, watcher, windows }: Parts,
  fault: Fault,
  prepared: readonly Fault[],
): Promise<Ended> {
  if (!(await load.more(TOKENS_BEFORE, RECOVERY_TIMEOUT_MS)))
    return { backMs: 0, problem: "clients get no tokens before it" };
  for (const { prepare } of prepared) await prepare?.(machine);
  if (prepared.length > 0 && !(await watcher.allBack(RECOVERY_TIMEOUT_MS)))
    return { backMs: 0, problem: "not back after what was prepared" };
  // What is raised before it is not its doing.
  await alarms.read(`load before ${fault.name}`, lateAlarms(windows));
  watcher.during = fault.name;
  const end = await fault.begin(machine);
  let start = performance.now();
  try {
    await pause(fault.holdMs);
  } finally {
    start = performance.now();
    await end();
  }
  const isBack = await watcher.allBack(RECOVERY_TIMEOUT_MS);
  const hasTokens = await load.more(1, RECOVERY_TIMEOUT_MS);
  const backMs = Math.round(performance.now() - start);
  if (!isBack) return { backMs, problem: `not back: ${JSON.stringify(watcher.last)}` };
  return hasTokens ? { backMs } : { backMs, problem: "clients get no tokens after it" };
}

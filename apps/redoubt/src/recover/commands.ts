import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { confirm } from "../keys/confirm.ts";
import { systemKeys } from "../ledger/log-keys.ts";
import { REGISTRY_LOG, type Realm } from "../layout.ts";
import type { Operator } from "../operator.ts";
import type { Place } from "../running.ts";
import { withOperator } from "../with-operator.ts";
import { parseVerifierKey } from "@redoubt/tlog";
import { judge, type Finding } from "./findings.ts";
import { lookAtLogs, openCosigned, type CosignedNote, type LogState } from "./log-state.ts";
import { closeLog, planClosing, restartServices } from "./close-log.ts";
import { findCopy, restoreFrom, withCredentials } from "./registry.ts";
import { ask, LEDGER, MONITOR } from "@redoubt/wire";

const QUESTIONS = { input: process.stdin, output: process.stderr };

/** Says of every log whether it can go on, and what to do where it cannot. Changes nothing. */
export function recoverCheck(context: CommandContext): Promise<number> {
  return withOperator(context, async (operator, place) => {
    const states = await lookAtLogs(operator, place);
    const findings = states.map((state) => judge(state, realmOf(operator, state.log)));
    context.terminal.result({ json: findings, text: findings.map(findingText).join("\n") });
    return findings.every(({ ok }) => ok) ? EXIT.ok : EXIT.attention;
  });
}

function findingText({ log, ok, what, advice }: Finding): string {
  return ok ? `${log}: ${what}` : `${log}: ${what}\n  ${advice}`;
}

function realmOf(operator: Operator, log: string): string | undefined {
  return operator.registry.writers.get(log)?.realm;
}

export interface WitnessOptions {
  readonly log?: string;
  readonly note?: string;
  readonly reason: string;
  readonly yes?: boolean;
}

/** Moves the witness of every log that it has forgotten something of to the newest checkpoint that it cosigned. */
export function recoverWitness(context: CommandContext, options: WitnessOptions): Promise<number> {
  const { terminal } = context;
  return withOperator(context, async (operator, place) => {
    const done: object[] = [];
    // The registry first: it says which keys the other logs have, and the monitor reads it when it has moved.
    for (;;) {
      const states = await lookAtLogs(operator, place);
      const next = states.find((state) => isForgotten(state, options.log, done.length));
      if (!next) break;
      const target = newestOf(context, place, operator, next, options.note);
      const from = next.witness?.size ?? 0;
      const plan = `${next.log}: the witness goes on from ${target.size} entries in place of ${from}. It cosigned them (found in: ${target.from}). What it may have cosigned beyond that is given up`;
      terminal.notice(plan);
      if (options.yes !== true) await confirm("Moving a witness", QUESTIONS);
      done.push(await moveWitness(operator, next, target, options.reason));
      await untilUnhalted(operator, next.log);
    }
    const text =
      done.length === 0
        ? "The witness has forgotten nothing that can be found here"
        : `${done.length} moved, and said in the registry. Look for other copies: redoubt recover check`;
    terminal.result({ json: { moved: done }, text });
    return EXIT.ok;
  });
}

const MAX_MOVES = 64;

function isForgotten(state: LogState, only: string | undefined, done: number): boolean {
  if (only !== undefined && state.log !== only) return false;
  return done < MAX_MOVES && state.witnessHalt === "witness-rollback";
}

function newestOf(
  context: CommandContext,
  { settings }: Place,
  operator: Operator,
  { log, newest, witness }: LogState,
  file: string | undefined,
): CosignedNote {
  const keys = systemKeys(settings, operator.registry).get(log);
  const given =
    file === undefined || !keys
      ? []
      : openCosigned({ from: file, note: readFileSync(fileArgument(context, file), "utf8") }, log, {
          ...keys,
          witnessKey: parseVerifierKey(settings.witness),
        });
  if (file !== undefined && given.length === 0)
    throw new ServiceError(
      "ERR_RECOVER",
      `${file} is no checkpoint of ${log} with the signatures of its keys and of the witness`,
    );
  const [best] = [...given, ...(newest ? [newest] : [])].toSorted((a, b) => b.size - a.size);
  if (!best || best.size <= (witness?.size ?? 0))
    throw new ServiceError(
      "ERR_RECOVER",
      `No cosigned checkpoint of ${log} beyond what the witness holds was found: name one with --note`,
    );
  return best;
}

async function moveWitness(
  operator: Operator,
  { log, witness }: LogState,
  { size, root, note }: CosignedNote,
  reason: string,
): Promise<object> {
  const from = witness?.size ?? 0;
  const asked = { log, size1: from, size2: size };
  const { proof } =
    from === 0 || from === size
      ? { proof: [] }
      : await ask(operator.client("ledger"), LEDGER.proveGrowth, asked);
  const body = { type: "witness-forward", log, size, root: encodeBase64url(root), reason } as const;
  // In the log before it takes effect, as every change.
  const signed = await operator.stateSigned(body);
  const { statement, envelope } = signed;
  const order = { statement, envelope, note, proof };
  return await ask(operator.client("monitor"), MONITOR.forward, order);
}

const PATIENCE_MS = 10_000;

/** The monitor reads the log again, and may meet a still larger cosignature of its own there. */
async function untilUnhalted(operator: Operator, log: string): Promise<void> {
  const until = nowSeconds(systemClock) + PATIENCE_MS / 1000;
  await pause(1000);
  while (nowSeconds(systemClock) < until) {
    const { ready, logs = [] } = await ask(operator.client("monitor"), MONITOR.status, {});
    if (ready || logs.some((one) => one.log !== log && one.halted !== null)) return;
    await pause(250);
  }
}

export interface LogOptions {
  readonly realm: Realm;
  readonly reason: string;
  readonly yes?: boolean;
}

/** Closes a realm's log and lets another take its place, with new keys of log and writer. */
export function recoverLog(context: CommandContext, options: LogOptions): Promise<number> {
  const { terminal } = context;
  return withOperator(context, async (operator, place) => {
    const plan = await planClosing(operator, place, options.realm);
    for (const line of plan.lines) terminal.notice(line);
    if (options.yes !== true) await confirm(`Closing ${plan.log}`, QUESTIONS);
    const done = await closeLog(operator, place, { plan, reason: options.reason, terminal });
    const text = `${done.log} is closed at ${done.size} entries; ${done.successor} takes its place, and ${options.realm} issues again`;
    terminal.result({ json: done, text });
    return EXIT.ok;
  });
}

export interface RegistryOptions {
  readonly from?: readonly string[];
  readonly yes?: boolean;
}

/** Gives the ledger the registry back that the witness cosigned, from whichever copy hashes to it. */
export function recoverRegistry(
  context: CommandContext,
  options: RegistryOptions,
): Promise<number> {
  const { terminal } = context;
  return withOperator(context, async (operator, place) => {
    const states = await lookAtLogs(operator, place);
    const state = states.find(({ log }) => log === REGISTRY_LOG);
    const target = state?.newest;
    if (!state || !target)
      throw new ServiceError("ERR_RECOVER", "No cosigned checkpoint of the registry was found");
    if (state.ledgerSize !== undefined && state.ledgerSize >= target.size) {
      terminal.result({ json: { restored: 0 }, text: "The registry is whole" });
      return EXIT.ok;
    }
    const files = (options.from ?? []).map((name) => fileArgument(context, name));
    const copy = await findCopy(operator, target, files);
    const { source, lost } = await withCredentials(operator, copy);
    terminal.notice(
      `The registry is restored to the ${target.size} statements that the witness cosigned, from ${source.name}; what the ledger cannot read of it is set aside. The ledger is restarted.`,
    );
    if (lost > 0)
      terminal.notice(
        `Nobody has what ${lost} clients prove themselves with: an old ledger.db may (--from), or redoubt clients rotate gives them something new.`,
      );
    if (options.yes !== true) await confirm("Restoring the registry", QUESTIONS);
    const restored = await restoreFrom(operator, source, target);
    await restartServices(place, ["ledger"]);
    const text = `${restored} statements restored. Now the other logs: redoubt recover check`;
    terminal.result({ json: { restored, size: target.size, from: source.name, lost }, text });
    return EXIT.ok;
  });
}

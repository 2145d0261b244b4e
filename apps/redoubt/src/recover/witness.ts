import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { ServiceError } from "@redoubt/base";
import { parseVerifierKey } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { ask, LEDGER, MONITOR } from "@redoubt/wire";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { confirm } from "../confirm.ts";
import { systemKeys } from "../ledger/log-keys.ts";
import { withOperator, type Operator } from "../operator.ts";
import type { Place } from "../running.ts";
import { lookUntil } from "../wait.ts";
import { lookAtLogs, openCosigned, type CosignedNote, type LogState } from "./log-state.ts";
import { PATIENCE } from "./restart.ts";

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
    // The registry comes first: once its witness has moved, the monitor reads from it which keys the other logs have.
    for (;;) {
      const states = await lookAtLogs(operator, place);
      const next = states.find((state) => isForgotten(state, options.log, done.length));
      if (!next) break;
      const target = newestOf(context, place, operator, next, options.note);
      const from = next.witness?.size ?? 0;
      const plan = `${next.log}: the witness goes on from ${target.size} entries in place of ${from}. It cosigned them (found in: ${target.from}). What it may have cosigned beyond that is given up`;
      terminal.notice(plan);
      await confirm(context, "Moving a witness", options.yes);
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
  // In the registry before it takes effect, as every change by the operator.
  const signed = await operator.stateSigned(body);
  const { statement, envelope } = signed;
  const order = { statement, envelope, note, proof };
  return await ask(operator.client("monitor"), MONITOR.forward, order);
}

/** The monitor reads the log again, and may meet a still larger cosignature of its own there. */
async function untilUnhalted(operator: Operator, log: string): Promise<void> {
  await pause(1000);
  const goesOn = async (): Promise<boolean> => {
    const { ready, logs = [] } = await ask(operator.client("monitor"), MONITOR.status, {});
    return ready || logs.some((one) => one.log !== log && one.halted !== null);
  };
  await lookUntil(goesOn, Boolean, PATIENCE);
}

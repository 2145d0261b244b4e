import type { Registry } from "@redoubt/registry";
import { EXIT, type CommandContext } from "../command.ts";
import { withOperator } from "../operator.ts";
import { printable } from "../table.ts";
import { lookAtLogs, type LogState } from "./log-state.ts";

export type Remedy = "none" | "wait" | "witness" | "log" | "registry";

/** Whose log it is. */
export type Owner = "registry" | "broker" | { readonly realm: string };

/** What is wrong with a log, and what ends it. */
export interface Finding {
  readonly log: string;
  readonly ok: boolean;
  readonly what: string;
  readonly remedy: Remedy;
  /** A command, or what a person must do. */
  readonly advice: string;
}

/** Says of every log whether it can go on, and what to do where it cannot. Changes nothing. */
export function recoverCheck(context: CommandContext): Promise<number> {
  return withOperator(context, async (operator, place) => {
    const states = await lookAtLogs(operator, place);
    const findings = states.map((state) => judge(state, ownerOf(operator.registry, state.log)));
    context.terminal.result({ json: findings, text: findings.map(findingText).join("\n") });
    return findings.every(({ ok }) => ok) ? EXIT.ok : EXIT.attention;
  });
}

function findingText({ log, ok, what, advice }: Finding): string {
  return ok ? `${log}: ${what}` : `${log}: ${what}\n  ${advice}`;
}

export function ownerOf(
  { writers, brokers }: Pick<Registry, "writers" | "brokers">,
  log: string,
): Owner {
  return writers.get(log) ?? (brokers.has(log) ? "broker" : "registry");
}

/** What ends it where no copy has what is missing, and the command for it. */
function lastResort(owner: Owner): readonly [Remedy, string] {
  if (owner === "registry") return ["registry", "redoubt recover registry"];
  if (owner === "broker") return ["log", "redoubt recover log --broker"];
  return ["log", `redoubt recover log --realm ${owner.realm}`];
}

/** One finding for each log: the first thing that is wrong. Remedies that give up nothing come before those that do. */
export function judge(state: LogState, owner: Owner): Finding {
  const { log, ledgerSize, ledgerProblem, signerProblem, witness, witnessHalt, newest } = state;
  const found = (what: string, by: Remedy, advice: string): Finding => {
    return { log, ok: by === "none", what: printable(what), remedy: by, advice };
  };
  const known = Math.max(newest?.size ?? 0, witness?.size ?? 0);
  if (witnessHalt === "witness-rollback")
    return found(
      `the witness holds ${witness?.size ?? 0} entries and has met its own cosignature of ${known}: its database is an old copy`,
      "witness",
      "if a newer copy of monitor.db exists, restore that; else: redoubt recover witness",
    );
  const [remedy, close] = lastResort(owner);
  const copy = `if a copy of ledger.db with ${known} entries or more exists, restore that; else: ${close}`;
  if (ledgerProblem !== undefined)
    return found(`the ledger has halted it: ${ledgerProblem}`, remedy, copy);
  if (ledgerSize !== undefined && ledgerSize < known)
    return found(
      `the ledger holds ${ledgerSize} entries, the witness has cosigned ${known}`,
      remedy,
      copy,
    );
  if (signerProblem !== undefined)
    return found(`the signer does not take it up: ${signerProblem}`, remedy, copy);
  if (witnessHalt !== undefined)
    return found(`the witness has halted it: ${witnessHalt}`, remedy, close);
  if (witness === undefined)
    return found(
      "the witness does not answer",
      "wait",
      "look why the monitor is not ready: redoubt status",
    );
  return found(`${ledgerSize} entries, ${witness.size} of them cosigned`, "none", "");
}

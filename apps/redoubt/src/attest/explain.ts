import {
  type BootDifference,
  type EventLog,
  explainDifference,
  parseEventLog,
} from "@redoubt/evidence";
import { type CommandContext, EXIT, optionError } from "../command.ts";
import { readRecognised } from "./evidence-file.ts";

/** Says what differs between two boots. Exit code 2 where something does. */
export async function rimExplain(
  context: CommandContext,
  before: string,
  after: string,
): Promise<number> {
  const [old, now] = [before, after].map((name) => logOf(context, name));
  if (old === undefined || now === undefined || old.kind !== now.kind)
    throw optionError("The two logs are of different kinds");
  const bank = old.kind === "ccel" ? "sha384" : "sha256";
  const differences = explainDifference(old, now, bank);
  context.terminal.result({
    json: { differences },
    text:
      differences.length === 0
        ? "both boots measured the same"
        : differences.map((one) => line(one, old.kind)).join("\n"),
  });
  return differences.length === 0 ? EXIT.ok : EXIT.attention;
}

function logOf(context: CommandContext, name: string): EventLog {
  const recognised = readRecognised(context, name);
  if (recognised.kind === "event-log") return recognised.log;
  if (recognised.kind === "evidence" && "eventLog" in recognised.evidence) {
    const { eventLog, platform } = recognised.evidence;
    if (eventLog !== undefined)
      return parseEventLog(eventLog, platform === "tdx" ? "ccel" : "tcg2");
  }
  throw optionError(`${name} has no event log`);
}

function line(
  { register, kind, what, before, after }: BootDifference,
  log: EventLog["kind"],
): string {
  const place = log === "ccel" ? `RTMR${register - 1}` : `PCR${register}`;
  switch (kind) {
    case "changed":
      return `${place}: ${what} changed: ${before} -> ${after}`;
    case "added":
      return `${place}: ${what} is new: ${after}`;
    case "removed":
      return `${place}: ${what} is gone: ${before}`;
    case "order":
      return `${place}: ${what}`;
  }
}

import type { Command } from "commander";
import type { Run } from "../command.ts";

const HELP = `
Examples:
  redoubt status
  redoubt status --json | jq -r .problems[].what

Exit codes: 0 healthy, 2 something is not ready or a critical alarm is open, 1 nothing runs.`;

export function register(cli: Command, run: Run): void {
  cli
    .command("status")
    .description("how the running system is: processes, logs, alarms, labels")
    .addHelpText("after", HELP)
    .action(run(async (context) => (await import("../status.ts")).status(context)));
}

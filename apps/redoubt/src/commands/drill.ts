import type { Command } from "commander";
import type { Run } from "../command.ts";

const HELP = `
Each line is one attempt: threat, who stopped or noticed it, with which code. Keys that a drill makes can reach
nothing but the drill audience. The drill of attested signers makes a system of its own, whose processes are the real
ones, and removes it: nothing of yours is touched, and nothing of yours has to run.

Examples:
  redoubt drill storm-0558
  redoubt drill storm-0558 --json
  redoubt drill attested

Exit codes: 0 every attempt was stopped or alarmed and every control accepted, 3 not so, 1 nothing runs.`;

export function register(cli: Command, run: Run): void {
  const drill = cli
    .command("drill")
    .description("attack the running system, and read its alarms back")
    .addHelpText("after", HELP);
  drill
    .command("storm-0558")
    .description("the attack of 2023: THREAT-01, 02, 03 and 04")
    .addHelpText("after", HELP)
    .action(
      run(async ({ folder, terminal }) => {
        const { enterRunning } = await import("../running.ts");
        const { drillStorm0558 } = await import("../drill/storm-0558.ts");
        const { settings } = await enterRunning(folder);
        return drillStorm0558("", settings, terminal);
      }),
    );
  drill
    .command("attested")
    .description(
      "leases: an altered or older image, replayed and relayed evidence, another realm, a lease that ended",
    )
    .addHelpText("after", HELP)
    .action(
      run(async ({ terminal }) => {
        const { drillAttested } = await import("../drill/attested.ts");
        return drillAttested(terminal);
      }),
    );
}

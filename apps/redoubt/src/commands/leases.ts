import type { Command } from "commander";
import type { Run } from "../command.ts";

const HELP = `
Afterwards keys are used by whoever proves what it is, for 15 minutes at a time (docs/guide/leases.md).

Example:
  redoubt leases enable

Stop Redoubt first; it is refused while Redoubt runs. After a crash, the same command again finishes the work.`;

export function register(cli: Command, run: Run): void {
  cli
    .command("leases")
    .description("the right to use keys, for machines that prove what they are")
    .addHelpText("after", HELP)
    .command("enable")
    .description(
      "put the keys of both realms behind gateways that ask for a lease, while nothing runs",
    )
    .addHelpText("after", HELP)
    .action(run(async (context) => (await import("../leases/leases.ts")).leasesEnable(context)));
}

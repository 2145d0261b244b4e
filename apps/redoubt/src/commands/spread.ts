import type { Command } from "commander";
import type { Run } from "../command.ts";

const HELP = `
Example:
  redoubt spread /var/lib/redoubt --data /root/redoubt

As root, with the users of deploy/systemd and nothing running on the data folder: docs/guide/systemd.md.`;

export function register(cli: Command, run: Run): void {
  cli
    .command("spread")
    .description("copy the data folder into one for each process's own user, for systemd")
    .argument("<folder>", "where to, usually /var/lib/redoubt")
    .addHelpText("after", HELP)
    .action(
      run(async (context, folder: string) =>
        (await import("../up/spread.ts")).spreadCommand(context, folder),
      ),
    );
}

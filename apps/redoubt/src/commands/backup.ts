import type { Command } from "commander";
import type { Run } from "../command.ts";

const HELP = `
Example:
  redoubt backup /srv/backup/2026-11-28

Works while Redoubt runs. What comes back with a copy and what does not: docs/guide/backup.md.
Exit codes: 0 done, 1 could not be done, and nothing is left behind.`;

export function register(cli: Command, run: Run): void {
  cli
    .command("backup")
    .description("copy everything that this system needs to go on, in the order that restores best")
    .argument("<folder>", "where to; must not exist yet")
    .addHelpText("after", HELP)
    .action(
      run(async (context, folder: string) =>
        (await import("../backup.ts")).backup(context, folder),
      ),
    );
}

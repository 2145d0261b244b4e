import type { Command } from "commander";
import type { Run } from "../command.ts";
import type { SecretOptions } from "../reporters.ts";

const HELP = `
Examples:
  redoubt reporters list
  redoubt reporters add orders-2                                 its secret is shown once
  redoubt reporters add orders-2 --secret-file orders-2.secret   for scripts: written, not shown
  redoubt reporters rotate orders-1                              lost or stolen: the old secret ends at once
  redoubt reporters disable orders-1

A planned change without a gap: add a second name, move the service over, and disable the first when list shows that
the second reports.

Exit codes: 0 done, 1 could not be done.`;

export function register(cli: Command, run: Run): void {
  const reporters = cli
    .command("reporters")
    .description("reporters: the services that tell the monitor which tokens they saw")
    .addHelpText("after", HELP);
  reporters
    .command("list", { isDefault: true })
    .description("list reporters, since when they are so, and when each reported last")
    .addHelpText("after", "\nExample:\n  redoubt reporters list --json")
    .action(run(async (context) => (await import("../reporters.ts")).reportersList(context)));
  withSecret(reporters.command("add"))
    .description("register a reporter, with a secret of its own")
    .action(
      run(async (context, reporter: string, options: SecretOptions) =>
        (await import("../reporters.ts")).reportersAdd(context, reporter, options),
      ),
    );
  withSecret(reporters.command("rotate"))
    .description("replace a reporter's secret at once; a disabled one is active again")
    .action(
      run(async (context, reporter: string, options: SecretOptions) =>
        (await import("../reporters.ts")).reportersRotate(context, reporter, options),
      ),
    );
  reporters
    .command("disable")
    .description("end a reporter: its secret is refused, and nobody waits for its reports")
    .argument("<name>", "name of the reporter")
    .addHelpText("after", HELP)
    .action(
      run(async (context, reporter: string) =>
        (await import("../reporters.ts")).reportersDisable(context, reporter),
      ),
    );
}

function withSecret(command: Command): Command {
  return command
    .argument("<name>", "name of the reporter")
    .option("--secret-file <path>", "write the secret to this new file (0600), do not show it")
    .addHelpText("after", HELP);
}

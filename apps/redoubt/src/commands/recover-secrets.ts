import { Option, type Command } from "commander";
import type { Run } from "../command.ts";
import { SERVICES } from "../layout.ts";
import type { SecretsOptions } from "../recover/secrets.ts";

const HELP = `
Examples:
  redoubt recover secrets                                     stolen: all of them
  redoubt recover secrets --service ledger --caller operator  one that is missing or damaged

Stop Redoubt first: a process reads its secrets once, when it starts. It is refused while Redoubt runs.
Exit codes: 0 done, 1 could not be done.`;

export function registerSecrets(recover: Command, run: Run): void {
  recover
    .command("secrets")
    .description("replace the secrets by which the processes know each other, while nothing runs")
    .addOption(new Option("--service <name>", "only who calls this one").choices(SERVICES))
    .option("--caller <name>", "only this caller's")
    .option("--yes", "do not ask")
    .addHelpText("after", HELP)
    .action((options: SecretsOptions, command: Command) =>
      run(command, async (context) => {
        const { recoverSecrets } = await import("../recover/secrets.ts");
        return recoverSecrets(context, options);
      }),
    );
}

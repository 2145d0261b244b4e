import { Argument, type Command } from "commander";
import type { Run } from "../command.ts";
import type { IdentityOptions } from "../recover/identity.ts";
import { preparedOption } from "./prepared-option.ts";
import { reasonOption } from "./reason-option.ts";

/** As `PINNED` of packages/keys, which a help text need not load. */
const WHAT = ["witness", "registry", "ack", "events"] as const;

const HELP = `
  witness   the monitor's key that cosigns every log
  registry  the ledger's key that signs the registry's checkpoints
  ack       the monitor's key that signs acknowledgements of reports
  events    the monitor's key that signs webhooks (v1a)
Keys of issuance logs and their writers: redoubt recover log. Operator and rings: recover operator, recover ring.

Examples:
  redoubt recover identity witness --reason "monitor's disk was stolen"
  redoubt recover identity registry --reason "key file lost" --yes

Stop Redoubt first; it is refused while Redoubt runs. The next start says it in the registry.
Exit codes: 0 done, 1 could not be done.`;

export function registerIdentity(recover: Command, run: Run): void {
  recover
    .command("identity")
    .description("another key of ledger or monitor, lost, stolen or old, while nothing runs")
    .addArgument(new Argument("<what>", "whose key").choices(WHAT))
    .addOption(reasonOption())
    .addOption(preparedOption())
    .option("--yes", "do not ask")
    .addHelpText("after", HELP)
    .action((what: (typeof WHAT)[number], options: IdentityOptions, command: Command) =>
      run(command, async (context) => {
        const { recoverIdentity } = await import("../recover/identity.ts");
        return recoverIdentity(context, what, options);
      }),
    );
}

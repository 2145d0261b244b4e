import { Option, type Command } from "commander";
import { collect, type Run } from "../command.ts";
import type { AuthorOptions, RingOptions } from "../recover/authors.ts";
import type { LogOptions, RegistryOptions, WitnessOptions } from "../recover/commands.ts";
import { preparedOption } from "./prepared-option.ts";
import { reasonOption } from "./reason-option.ts";
import { registerIdentity } from "./recover-identity.ts";
import { realmOption } from "./realm-option.ts";
import { registerSecrets } from "./recover-secrets.ts";

const HELP = `
Examples:
  redoubt recover                                            what stands still, and what ends it
  redoubt recover witness --reason "monitor.db restored"     after an old monitor.db was restored
  redoubt recover registry                                   after an old ledger.db was restored
  redoubt recover log --realm enterprise --reason "bit flip" close a log that cannot go on
  redoubt recover secrets                                    secrets of sockets were lost or stolen
  redoubt recover operator                                   another operator key; also: recover ring
  redoubt recover identity witness --reason "disk stolen"    another witness key; also: registry, ack, events

Look for newer copies first (docs/guide/backup.md): what is given up here does not come back.
What moves a witness or closes a log is a statement in the registry before it takes effect, and an alarm.

Exit codes: 0 done, 1 could not be done, 2 something stands still.`;

export function register(cli: Command, run: Run): void {
  const recover = cli
    .command("recover")
    .description("the way out where a log has halted or a part is an old copy")
    .addHelpText("after", HELP);
  recover
    .command("check", { isDefault: true })
    .description("say of every log whether it can go on, and what to do; changes nothing")
    .addHelpText("after", HELP)
    .action((_options: object, command: Command) =>
      run(command, async (context) => (await load()).recoverCheck(context)),
    );
  recover
    .command("witness")
    .description("move a witness that forgot to the newest checkpoint that it cosigned itself")
    .option("--log <origin>", "this log only")
    .option("--note <file>", "a cosigned checkpoint that was found elsewhere")
    .addOption(reasonOption())
    .option("--yes", "do not ask")
    .addHelpText("after", HELP)
    .action((options: WitnessOptions, command: Command) =>
      run(command, async (context) => (await load()).recoverWitness(context, options)),
    );
  recover
    .command("log")
    .description("close a realm's log at what was cosigned last, and let another take its place")
    .addOption(realmOption("which one must be said").makeOptionMandatory())
    .addOption(reasonOption())
    .option("--yes", "do not ask")
    .addHelpText("after", HELP)
    .action((options: LogOptions, command: Command) =>
      run(command, async (context) => (await load()).recoverLog(context, options)),
    );
  registerRegistry(recover, run);
  registerSecrets(recover, run);
  registerAuthors(recover, run);
  registerIdentity(recover, run);
}

const AUTHORS_HELP = `
The next version of the root names the key: with a demo root that is done at once; with a production root --out takes
the draft, which holders sign and the operator publishes (docs/guide/ceremony.md). A key that an earlier call
made is taken up with --prepared only: whoever stole the key before it could have put one there.

Examples:
  redoubt recover operator                               lost, stolen or old: another operator key
  redoubt recover operator --out root-2.json             with production roots
  redoubt recover ring --realm enterprise                another ring key
`;

function registerAuthors(recover: Command, run: Run): void {
  recover
    .command("operator")
    .description("another operator key, where the one there is lost, stolen or old")
    .addOption(outOption())
    .addOption(preparedOption())
    .option("--yes", "do not ask")
    .addHelpText("after", AUTHORS_HELP)
    .action((options: AuthorOptions, command: Command) =>
      run(command, async (context) => (await loadAuthors()).recoverOperator(context, options)),
    );
  recover
    .command("ring")
    .description("another ring key of a realm, where the one there is lost, stolen or old")
    .addOption(realmOption("which one must be said").makeOptionMandatory())
    .addOption(outOption())
    .addOption(preparedOption())
    .option("--yes", "do not ask")
    .addHelpText("after", AUTHORS_HELP)
    .action((options: RingOptions, command: Command) =>
      run(command, async (context) => (await loadAuthors()).recoverRing(context, options)),
    );
}

function outOption(): Option {
  return new Option("--out <file>", "the draft that holders of production roots sign");
}

function registerRegistry(recover: Command, run: Run): void {
  recover
    .command("registry")
    .description("give the ledger the registry back, from a copy that hashes to its cosigned root")
    .option("--from <ledger.db>", "a copy beside the monitor's; repeatable", collect)
    .option("--yes", "do not ask")
    .addHelpText("after", HELP)
    .action((options: RegistryOptions, command: Command) =>
      run(command, async (context) => (await load()).recoverRegistry(context, options)),
    );
}

function load() {
  return import("../recover/commands.ts");
}

function loadAuthors() {
  return import("../recover/authors.ts");
}

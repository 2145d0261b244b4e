import { REALM } from "@redoubt/base";
import { Argument, InvalidArgumentError, Option, type Command } from "commander";
import type { Run } from "../command.ts";
import type { AuthorOptions, RingOptions } from "../recover/authors.ts";
import { SERVICES } from "../layout.ts";
import type { LogOptions } from "../recover/close-log.ts";
import type { IdentityOptions } from "../recover/identity.ts";
import type { RegistryOptions } from "../recover/registry.ts";
import type { SecretsOptions } from "../recover/secrets.ts";
import type { WitnessOptions } from "../recover/witness.ts";
import {
  anyRealmOption,
  collect,
  reasonOption,
  requiredRealmOption,
  yesOption,
} from "./options.ts";

const HELP = `
Examples:
  redoubt recover                                            what stands still, and what ends it
  redoubt recover witness --reason "monitor.db restored"     after an old monitor.db was restored
  redoubt recover registry                                   after an old ledger.db was restored
  redoubt recover log --realm enterprise --reason "bit flip" close a log that cannot go on
  redoubt recover log --broker --reason "old copy"           the same of the broker's
  redoubt recover secrets                                    secrets of sockets were lost or stolen
  redoubt recover operator                                   another operator key; also: recover ring
  redoubt recover identity witness --reason "disk stolen"    another witness key; also: registry, ack, events

Look for newer copies first (docs/guide/backup.md): what is given up here does not come back.
To move a witness or close a log, the operator says so in the registry before it takes effect; each is an alarm, too.

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
    .action(run(async (context) => (await import("../recover/check.ts")).recoverCheck(context)));
  recover
    .command("witness")
    .description("move a witness that forgot to the newest checkpoint that it cosigned itself")
    .option("--log <origin>", "this log only")
    .option("--note <file>", "a cosigned checkpoint that was found elsewhere")
    .addOption(reasonOption())
    .addOption(yesOption())
    .addHelpText("after", HELP)
    .action(
      run(async (context, options: WitnessOptions) =>
        (await import("../recover/witness.ts")).recoverWitness(context, options),
      ),
    );
  recover
    .command("log")
    .description("close a log at what was cosigned last, and let another take its place")
    .addOption(anyRealmOption("whose log it is"))
    .option("--broker", "the broker's log")
    .hook("preAction", (command) => {
      const { realm, broker } = command.opts<LogOptions>();
      if ((realm === undefined) === (broker !== true))
        command.error("error: whose log? Name --realm, or --broker");
    })
    .addOption(reasonOption())
    .addOption(yesOption())
    .addHelpText("after", HELP)
    .action(
      run(async (context, options: LogOptions) =>
        (await import("../recover/close-log.ts")).recoverLog(context, options),
      ),
    );
  registerRegistry(recover, run);
  registerSecrets(recover, run);
  registerAuthors(recover, run);
  registerIdentity(recover, run);
}

const AUTHORS_HELP = `
The next version of the root names the key: with a demo root that is done at once; with a production root --out takes
the draft, which holders sign and the operator publishes (docs/guide/ceremony.md). A key that an earlier call
made is used with --prepared only: a thief of the key before it could have put one there.

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
    .addOption(yesOption())
    .addHelpText("after", AUTHORS_HELP)
    .action(
      run(async (context, options: AuthorOptions) =>
        (await import("../recover/authors.ts")).recoverOperator(context, options),
      ),
    );
  recover
    .command("ring")
    .description("another ring key of a realm, where the one there is lost, stolen or old")
    .addOption(requiredRealmOption())
    .addOption(outOption())
    .addOption(preparedOption())
    .addOption(yesOption())
    .addHelpText("after", AUTHORS_HELP)
    .action(
      run(async (context, options: RingOptions) =>
        (await import("../recover/authors.ts")).recoverRing(context, options),
      ),
    );
}

function outOption(): Option {
  return new Option("--out <file>", "the draft that holders of production roots sign");
}

function preparedOption(): Option {
  return new Option("--prepared", "use the next key, which an earlier call made");
}

function registerRegistry(recover: Command, run: Run): void {
  recover
    .command("registry")
    .description("give the ledger the registry back, from a copy that hashes to its cosigned root")
    .option("--from <ledger.db>", "a copy beside the monitor's; repeatable", collect)
    .addOption(yesOption())
    .addHelpText("after", HELP)
    .action(
      run(async (context, options: RegistryOptions) =>
        (await import("../recover/registry.ts")).recoverRegistry(context, options),
      ),
    );
}

const SECRETS_HELP = `
Examples:
  redoubt recover secrets                                     stolen: all of them
  redoubt recover secrets --service ledger --caller operator  one that is missing or damaged

Stop Redoubt first: a process reads its secrets once, when it starts. It is refused while Redoubt runs.
Exit codes: 0 done, 1 could not be done.`;

function registerSecrets(recover: Command, run: Run): void {
  recover
    .command("secrets")
    .description("replace the secrets by which the processes know each other, while nothing runs")
    .addOption(new Option("--service <name>", "only who calls this one").argParser(parseService))
    .option("--caller <name>", "only this caller's")
    .addOption(yesOption())
    .addHelpText("after", SECRETS_HELP)
    .action(
      run(async (context, options: SecretsOptions) =>
        (await import("../recover/secrets.ts")).recoverSecrets(context, options),
      ),
    );
}

/** Whether a cluster of this name is there is looked up when the command runs. */
function parseService(text: string): string {
  const isCluster = ["signer-", "kube-front-"].some(
    (kind) => text.startsWith(kind) && REALM.test(text.slice(kind.length)),
  );
  if (!isCluster && !SERVICES.some((name) => name === text))
    throw new InvalidArgumentError(`Services are ${SERVICES.join(", ")}, and those of clusters.`);
  return text;
}

/** As `PINNED` of packages/registry, which a help text need not load. */
const WHAT = ["witness", "registry", "ack", "events"] as const;

const IDENTITY_HELP = `
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

function registerIdentity(recover: Command, run: Run): void {
  recover
    .command("identity")
    .description("another key of ledger or monitor, lost, stolen or old, while nothing runs")
    .addArgument(new Argument("<what>", "whose key").choices(WHAT))
    .addOption(reasonOption())
    .addOption(preparedOption())
    .addOption(yesOption())
    .addHelpText("after", IDENTITY_HELP)
    .action(
      run(async (context, what: (typeof WHAT)[number], options: IdentityOptions) =>
        (await import("../recover/identity.ts")).recoverIdentity(context, what, options),
      ),
    );
}

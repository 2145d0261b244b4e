import { Argument, type Command } from "commander";
import { collect, type Run } from "../command.ts";
import type { ClientAddOptions, ClientStatus } from "../tenancy/clients.ts";
import type { ClientsAddFlags } from "../tenancy/commands.ts";
import { realmOption } from "./realm-option.ts";

const HELP = `
Examples:
  redoubt clients list
  redoubt clients add --tenant <uuid> --client billing --audience api://orders --scope orders.read
  redoubt clients add --tenant <uuid> --client robot --jwks robot.jwks     private_key_jwt, no secret
  redoubt clients set-status --tenant <uuid> billing disabled`;

export function register(cli: Command, run: Run): void {
  const clients = cli
    .command("clients")
    .description("clients: the programs that get tokens")
    .addHelpText("after", HELP);
  clients
    .command("list", { isDefault: true })
    .description("list clients, as the registry log has them")
    .addHelpText("after", "\nExample:\n  redoubt clients list --json")
    .action((_options: object, command: Command) =>
      run(command, async (context) => (await load()).clientsList(context)),
    );
  registerAdd(clients, run);
  clients
    .command("set-status")
    .description("disable or restore a client")
    .argument("<client>", "client id")
    .addArgument(new Argument("<status>").choices(["active", "disabled"]))
    .addOption(realmOption("default: the tenant's"))
    .option("--tenant <uuid>", "tenant of the client")
    .addHelpText(
      "after",
      "\nExample:\n  redoubt clients set-status --tenant <uuid> billing disabled",
    )
    .action(
      (
        client: string,
        status: ClientStatus,
        options: Pick<ClientAddOptions, "realm" | "tenant">,
        command: Command,
      ) =>
        run(command, async (context) =>
          (await load()).clientsSetStatus(context, client, status, options),
        ),
    );
}

function registerAdd(clients: Command, run: Run): void {
  clients
    .command("add")
    .description("register a client, or add audiences and scopes to one; may be repeated")
    .requiredOption("--client <id>", "client id")
    .addOption(realmOption("default: the tenant's"))
    .option("--tenant <uuid>", "tenant of the client")
    .option(
      "--audience <name>",
      "what its tokens may be for (default: the tenant's only one); repeatable",
      collect,
    )
    .option("--scope <name>", "a scope that it may have; repeatable", collect)
    .option("--jwks <file>", "its public keys, for private_key_jwt")
    .option("--new-secret", "give it a new secret in place of what it has")
    .addHelpText("after", HELP)
    .action((options: ClientsAddFlags, command: Command) =>
      run(command, async (context) => (await load()).clientsAdd(context, options)),
    );
}

function load() {
  return import("../tenancy/commands.ts");
}

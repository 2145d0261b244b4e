import type { Command } from "commander";
import type { Run } from "../command.ts";
import type { ClientName, RotateFlags, WithFile, ClientAddOptions } from "../tenancy/clients.ts";
import { clientOption, collect, realmOption, tenantOption } from "./options.ts";

const HELP = `
Examples:
  redoubt clients list
  redoubt clients add --tenant <uuid> --client billing --audience api://orders --scope orders.read
  redoubt clients add --tenant <uuid> --client robot --jwks robot.jwks     private_key_jwt, no secret
  redoubt clients add --tenant <uuid> --client portal --redirect-uri https://portal.example.org/callback
  redoubt clients show billing --tenant <uuid>                             and when its secrets end
  redoubt clients rotate billing --tenant <uuid>                           a new secret; the old one for another day
  redoubt clients disable billing --tenant <uuid>                          no token for it from now on`;

const DEFAULT_OVERLAP = "P1D";

type ClientPlace = Omit<ClientName, "client">;

export function register(cli: Command, run: Run): void {
  const clients = cli
    .command("clients")
    .description("clients: the programs that get tokens")
    .addHelpText("after", HELP);
  clients
    .command("list", { isDefault: true })
    .description("list clients, as the registry log has them")
    .addHelpText("after", "\nExample:\n  redoubt clients list --json")
    .action(run(async (context) => (await import("../tenancy/clients.ts")).clientsList(context)));
  registerAdd(clients, run);
  registerRotate(clients, run);
  ofOne(clients, "show", "one client, and what it proves itself with").action(
    run(async (context, client: string, place: ClientPlace) =>
      (await import("../tenancy/clients.ts")).clientsShow(context, { ...place, client }),
    ),
  );
  for (const [name, status, description] of STATUSES)
    ofOne(clients, name, description).action(
      run(async (context, client: string, place: ClientPlace) => {
        const { clientsSetStatus } = await import("../tenancy/clients.ts");
        return clientsSetStatus(context, { ...place, client }, status);
      }),
    );
}

const STATUSES = [
  ["disable", "disabled", "refuse a client tokens until it is enabled"],
  ["enable", "active", "let a client that was disabled have tokens again"],
  ["remove", "removed", "remove a client, and whatever it proves itself with, for good"],
] as const;

function ofOne(clients: Command, name: string, description: string): Command {
  return clients
    .command(name)
    .description(description)
    .argument("<client>", "client id")
    .addOption(realmOption("default: the tenant's"))
    .addOption(tenantOption())
    .addHelpText("after", `\nExample:\n  redoubt clients ${name} billing --tenant <uuid>`);
}

function registerAdd(clients: Command, run: Run): void {
  clients
    .command("add")
    .description("register a client, or add audiences and scopes to one; may be repeated")
    .addOption(clientOption().makeOptionMandatory())
    .addOption(realmOption("default: the tenant's"))
    .addOption(tenantOption())
    .option(
      "--audience <name>",
      "what its tokens may be for (default: the tenant's only one); repeatable",
      collect,
    )
    .option("--scope <name>", "a scope that it may have; repeatable", collect)
    .option("--jwks <file>", "its public keys, for private_key_jwt")
    .option(
      "--redirect-uri <url>",
      "people sign in through it, and come back here; repeatable",
      collect,
    )
    .option("--logout-uri <url>", "where they may be sent after sign-out; repeatable", collect)
    .option("--backchannel-logout-uri <url>", "told when a person's session ends")
    .option("--public", "it runs in a browser or on people's devices, and has no secret")
    .option(
      "--unsafe-token-endpoint-audience",
      "take its assertions for the token endpoint, too, not for the issuer alone",
    )
    .option("--no-unsafe-token-endpoint-audience", "take that back")
    .addHelpText("after", HELP)
    .action(
      run(async (context, options: WithFile<ClientAddOptions>) =>
        (await import("../tenancy/clients.ts")).clientsAdd(context, options),
      ),
    );
}

function registerRotate(clients: Command, run: Run): void {
  ofOne(clients, "rotate", "give a client a new secret, or other keys, without an outage")
    .option("--jwks <file>", "its new public keys; then it gets no secret")
    .option("--overlap <duration>", "how long what it has is still taken, or 0", DEFAULT_OVERLAP)
    .addHelpText(
      "after",
      "  redoubt clients rotate billing --tenant <uuid> --overlap 0             its secret was stolen",
    )
    .action(
      run(async (context, client: string, flags: RotateFlags) =>
        (await import("../tenancy/clients.ts")).clientsRotate(context, client, flags),
      ),
    );
}

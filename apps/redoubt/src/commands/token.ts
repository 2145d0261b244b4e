import type { Command } from "commander";
import type { Run } from "../command.ts";
import type { TokenOptions } from "../token.ts";
import { clientOption, realmOption, tenantOption } from "./options.ts";

const HELP = `
Examples:
  redoubt token                                             as the demo client of the enterprise realm
  redoubt token --realm consumer | redoubt verify --realm consumer
  redoubt token --tenant <uuid> --client billing --secret … --resource api://orders --scope orders.read

The secret may come from REDOUBT_CLIENT_SECRET: a command line can be read by everybody on the machine.`;

export function register(cli: Command, run: Run): void {
  cli
    .command("token")
    .description("get an access token and print it, alone")
    .addOption(realmOption())
    .addOption(tenantOption())
    .addOption(clientOption("client id (default: the realm's demo client)"))
    .option("--secret <secret>", "client secret")
    .option("--scope <scopes>", "scopes, separated by spaces (default: all that the client has)")
    .option("--resource <audience>", "what the token is for (RFC 8707)")
    .addHelpText("after", HELP)
    .action(
      run(async (context, options: TokenOptions) =>
        (await import("../token.ts")).token(context, options),
      ),
    );
}

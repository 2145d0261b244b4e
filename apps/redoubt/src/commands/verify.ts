import type { Command } from "commander";
import type { Run } from "../command.ts";
import type { VerifyOptions } from "../verify.ts";
import { collect, realmOption, tenantOption } from "./options.ts";

const HELP = `
Examples:
  redoubt token | redoubt verify                       tokens of the enterprise realm for the demo API
  redoubt verify --realm consumer --audience api://orders "$TOKEN"
  redoubt token | redoubt verify --report              and tell the monitor, as a resource server does

Exit codes: 0 valid, 3 refused, 1 could not be decided.`;

export function register(cli: Command, run: Run): void {
  cli
    .command("verify")
    .description("verify an access token with the realm's pinned ring key and print its claims")
    .argument("[token]", "the token, or - for stdin", "-")
    .addOption(realmOption())
    .option(
      "--audience <name>",
      "what the token must be for (default: the demo API); repeatable",
      collect,
    )
    .addOption(tenantOption("accept this tenant only"))
    .option("--issuer <url>", "accept this issuer of the realm only")
    .option("--report", "report the token to the monitor and wait for the acknowledgement")
    .addHelpText("after", HELP)
    .action(
      run(async (context, argument: string, options: VerifyOptions) =>
        (await import("../verify.ts")).verify(context, argument, options),
      ),
    );
}

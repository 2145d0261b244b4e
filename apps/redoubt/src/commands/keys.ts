import type { Command } from "commander";
import type { Run } from "../command.ts";

const HELP = `
Examples:
  redoubt keys list
  redoubt keys list --all --json | jq '.[] | select(.state == "revoked")'`;

export function register(cli: Command, run: Run): void {
  cli
    .command("keys")
    .description("token signing keys: which sign now, and what becomes of each next")
    .addHelpText("after", HELP)
    .command("list", { isDefault: true })
    .description("list keys, as the registry log has them")
    .option("--all", "destroyed and revoked ones too")
    .addHelpText("after", HELP)
    .action((options: { all?: boolean }, command: Command) =>
      run(command, async (context) => {
        const { keysList } = await import("../keys/commands.ts");
        return keysList(context, options);
      }),
    );
}

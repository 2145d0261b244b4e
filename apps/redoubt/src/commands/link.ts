import { type Command, InvalidArgumentError, Option } from "commander";
import type { Run } from "../command.ts";
import type { LinkInitOptions } from "../link/link-init.ts";

const HELP = `
Examples:
  redoubt link init                      key, certificate and pin of this machine's link
  redoubt link init --json
  redoubt link init --name link-2        the next key: give its pin to the peers first, then use it

A key that is there already is kept. docs/spec/wire.md §9 says how two machines are joined.

Exit codes: 0 done, 1 could not be done.`;

const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

export function register(cli: Command, run: Run): void {
  const link = cli
    .command("link")
    .description("the sockets of two machines, joined over mutual TLS")
    .addHelpText("after", HELP);
  link
    .command("init")
    .description("make a key and its certificate, and print the pin by which peers know it")
    .option("--name <name>", "name of the files in the link's folder", parseName, "link")
    .addOption(
      new Option("--alg <name>", "kind of the key")
        .choices(["Ed25519", "ES256"])
        .default("Ed25519"),
    )
    .addHelpText("after", HELP)
    .action(
      run(async (context, options: LinkInitOptions) =>
        (await import("../link/link-init.ts")).linkInit(context, options),
      ),
    );
}

// The form of `identity` in the link's configuration; its package is not loaded by every command.
function parseName(text: string): string {
  if (!NAME.test(text)) throw new InvalidArgumentError(`Names are like ${NAME.source}.`);
  return text;
}

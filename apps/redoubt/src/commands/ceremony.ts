import { InvalidArgumentError, Option, type Command } from "commander";
import type { DraftOptions } from "../ceremony/draft.ts";
import type { KeyOptions } from "../ceremony/key.ts";
import type { SignOptions } from "../ceremony/sign.ts";
import type { Run } from "../command.ts";
import { wholeNumber, yesOption } from "./options.ts";

const HELP = `
Steps, each where its keys are; key and sign need no running system:
  1. key      each holder makes a root key and gives away its public part
  2. draft    the operator writes the root for the realms of the running system
  3. sign     holders read and sign it, as many as the threshold
  4. publish  the operator records it in the registry

Examples:
  redoubt keys ceremony key --name alice --out alice.root
  redoubt keys ceremony draft --keys alice.root.pub,bob.root.pub,carol.root.pub --threshold 2 --expires 365d --out root.json
  redoubt keys ceremony sign --key alice.root root.json
  redoubt keys ceremony publish root.json
  redoubt keys ceremony show --json

Exit codes: 0 done, 1 could not be done, 2 the root needs attention, 3 refused: the root is not good.`;

const parseThreshold = wholeNumber(
  2,
  15,
  "A threshold is a number from 2 to 15, and less than the number of keys.",
);

export function register(keys: Command, run: Run): void {
  const ceremony = keys
    .command("ceremony")
    .description("the offline roots: make, sign, record and show them")
    .addHelpText("after", HELP);
  registerKey(ceremony, run);
  registerDraft(ceremony, run);
  registerSign(ceremony, run);
  registerPublish(ceremony, run);
  registerShow(ceremony, run);
}

function registerKey(ceremony: Command, run: Run): void {
  ceremony
    .command("key")
    .description("make a root key, sealed by a passphrase; FILE.pub is its public part")
    .requiredOption(
      "--name <name>",
      "who holds it: a small letter, then small letters, digits, . _ -",
      parseName,
    )
    .requiredOption("--out <file>", "where to write it; nothing is ever written over")
    .addOption(passphraseOption())
    .addHelpText("after", "\nExample:\n  redoubt keys ceremony key --name alice --out alice.root")
    .action(
      run(async (context, options: KeyOptions) =>
        (await import("../ceremony/key.ts")).ceremonyKey(context, options),
      ),
    );
}

const DRAFT_HELP = `
Version 1 where the registry has no root or a demo root; else the next version, which keys of the one before sign, too.

Example:
  redoubt keys ceremony draft --keys alice.root.pub,bob.root.pub,carol.root.pub --threshold 2 --expires 365d --out root.json`;

function registerDraft(ceremony: Command, run: Run): void {
  ceremony
    .command("draft")
    .description(
      "write the root that is to be signed, for the realms and ring keys of the registry",
    )
    .requiredOption(
      "--keys <files>",
      "public parts of all its keys, 3 to 16, separated by commas",
      parseList,
    )
    .requiredOption(
      "--threshold <k>",
      "how many of them speak for it: at least 2, and not all",
      parseThreshold,
    )
    .requiredOption("--expires <days>", "how long it lasts, such as 365d; 1096d at most", parseDays)
    .requiredOption("--out <file>", "where to write it; nothing is ever written over")
    .addHelpText("after", DRAFT_HELP)
    .action(
      run(async (context, options: DraftOptions) =>
        (await import("../ceremony/draft.ts")).ceremonyDraft(context, options),
      ),
    );
}

const SIGN_HELP = `
Shows what the root says and asks. The signature is added to the file; copies that were signed apart are published
together.

Examples:
  redoubt keys ceremony sign --key alice.root root.json
  redoubt keys ceremony sign --key alice.root --passphrase-file alice.pass --yes root.json     for a script`;

function registerSign(ceremony: Command, run: Run): void {
  ceremony
    .command("sign")
    .description("add the signature of one root key")
    .argument("<file>", "the root")
    .requiredOption("--key <file>", "the sealed root key")
    .addOption(passphraseOption())
    .addOption(yesOption())
    .addHelpText("after", SIGN_HELP)
    .action(
      run(async (context, file: string, options: SignOptions) =>
        (await import("../ceremony/sign.ts")).ceremonySign(context, file, options),
      ),
    );
}

const PUBLISH_HELP = `
Verifies every signature and the threshold, appends the root to the registry and reads it back. Doing so again
changes nothing.

Examples:
  redoubt keys ceremony publish root.json
  redoubt keys ceremony publish root-alice.json root-bob.json     signed apart`;

function registerPublish(ceremony: Command, run: Run): void {
  ceremony
    .command("publish")
    .description("record a signed root in the registry")
    .argument("<files...>", "the root, or copies of it with different signatures")
    .addHelpText("after", PUBLISH_HELP)
    .action(
      run(async (context, files: readonly string[]) =>
        (await import("../ceremony/publish.ts")).ceremonyPublish(context, files),
      ),
    );
}

const SHOW_HELP = `
Examples:
  redoubt keys ceremony show --json | jq .root.hash
  redoubt keys ceremony show root.json     a file; nothing needs to run

Exit codes: 0 good, 1 could not be read, 2 none, it expires within 30 days, or a realm is left out; 3 not good.`;

function registerShow(ceremony: Command, run: Run): void {
  ceremony
    .command("show")
    .description("the newest root of the registry, or that of a file")
    .argument("[file]", "a root that is not published yet")
    .addHelpText("after", SHOW_HELP)
    .action(
      run(async (context, file: string | undefined) =>
        (await import("../ceremony/show.ts")).ceremonyShow(context, file),
      ),
    );
}

function passphraseOption(): Option {
  return new Option("--passphrase-file <file>", "a file of mode 0600, in place of typing it");
}

function parseName(text: string): string {
  if (!/^[a-z][a-z0-9._-]{0,31}$/.test(text))
    throw new InvalidArgumentError(
      "A name is a small letter, then small letters, digits, . _ -, up to 32.",
    );
  return text;
}

function parseList(text: string): readonly string[] {
  const files = text.split(",").map((file) => file.trim());
  if (files.length < 3 || files.length > 16 || files.includes(""))
    throw new InvalidArgumentError("Name 3 to 16 files, separated by commas.");
  return files;
}

function parseDays(text: string): number {
  const days = Number(/^(\d{1,4})d$/.exec(text)?.[1]);
  if (!(days >= 1 && days <= 1096))
    throw new InvalidArgumentError("Say for how many days, from 1d to 1096d.");
  return days * 86_400;
}

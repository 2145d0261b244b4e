import { parseRootKey } from "@redoubt/registry";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { printable } from "../table.ts";
import { refuseExisting, writePublicFile } from "./files.ts";
import { newPassphrase } from "./passphrase.ts";
import { createRootKeyFile } from "./root-key-file.ts";
import { PRESENCE, PRESENCE_TEXT } from "./root-text.ts";

export interface KeyOptions {
  readonly name: string;
  readonly out: string;
  readonly passphraseFile?: string;
}

/** On the machine of whoever will hold the key: nothing of a running system is needed. */
export async function ceremonyKey(context: CommandContext, options: KeyOptions): Promise<number> {
  const out = fileArgument(context, options.out);
  const publicFile = `${out}.pub`;
  // Before anybody types a passphrase for nothing.
  for (const path of [out, publicFile]) refuseExisting(path);
  const passphrase = await newPassphrase(context, options.passphraseFile);
  const made = createRootKeyFile(out, options.name, passphrase);
  writePublicFile(publicFile, made);
  const { name, publicKey } = parseRootKey(made);
  context.terminal.result({
    json: { name, publicKey, sealed: out, public: publicFile, ...PRESENCE },
    text: [
      `Root key ${name}: ${publicKey}`,
      `sealed by the passphrase in  ${printable(out)}`,
      `public part in               ${printable(publicFile)}`,
      PRESENCE_TEXT,
      "Give away the public part alone. Read the key above out to the others, so that nobody swaps it.",
    ].join("\n"),
  });
  return EXIT.ok;
}

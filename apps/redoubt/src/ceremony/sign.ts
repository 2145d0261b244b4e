import { nowSeconds, systemClock } from "@redoubt/base";
import { combineRoots, signRoot } from "@redoubt/registry";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { confirm } from "../confirm.ts";
import { printable } from "../table.ts";
import { readRootFile, writeRootFile } from "./files.ts";
import { passphraseOf } from "./passphrase.ts";
import { orRefused } from "./refused.ts";
import { openRootKeyFile } from "./key.ts";
import { lines, rootText, told } from "./root-text.ts";

export interface SignOptions {
  readonly key: string;
  readonly passphraseFile?: string;
  readonly yes?: boolean;
}

/** Runs on the machine of whoever holds the key; needs no running system. */
export function ceremonySign(
  context: CommandContext,
  name: string,
  options: SignOptions,
): Promise<number> {
  return orRefused(context, async () => {
    const path = fileArgument(context, name);
    const root = combineRoots(readRootFile(path));
    const now = nowSeconds(systemClock);
    const { kind, version } = root.document;
    for (const line of lines(rootText(root, now))) context.terminal.notice(line);
    const key = fileArgument(context, options.key);
    const what = `Signing ${kind} root ${version} with ${printable(options.key)}`;
    await confirm(context, what, options.yes);
    const passphrase = await passphraseOf(
      context,
      options.passphraseFile,
      `Passphrase of ${printable(options.key)}`,
    );
    const signed = signRoot(root, openRootKeyFile(key, passphrase));
    writeRootFile(path, signed);
    told(context, signed, {
      now,
      file: path,
      next: "Next: others sign, or redoubt keys ceremony publish",
    });
    return EXIT.ok;
  });
}

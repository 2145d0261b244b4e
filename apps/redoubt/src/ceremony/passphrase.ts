import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { Secret, ServiceError } from "@redoubt/base";
import { readPassphrase } from "@redoubt/custody";
import { fileArgument, type CommandContext, type Questions } from "../command.ts";

/**
 * NIST SP 800-63B-4 §3.1.1.2, a password without a second factor: whoever has the file can try as often as they like.
 */
const MIN_CHARACTERS = 15;

type Asked = Pick<CommandContext, "questions" | "typedIn">;

/** A new passphrase, typed twice, or that of a file of mode 0600. */
export async function newPassphrase(context: Asked, file: string | undefined): Promise<Secret> {
  const passphrase = await passphraseOf(context, file, "Passphrase for the new key");
  if (passphrase.reveal().length < MIN_CHARACTERS)
    throw new ServiceError("ERR_OPTION", `A passphrase has at least ${MIN_CHARACTERS} characters`);
  if (file !== undefined) return passphrase;
  const again = await ask("The same again", context.questions);
  if (!passphrase.equals(again.reveal()))
    throw new ServiceError("ERR_OPTION", "The two passphrases differ, nothing was made");
  return passphrase;
}

/** @throws ServiceError `ERR_OPTION` where nobody is there to type it */
export async function passphraseOf(
  context: Asked,
  file: string | undefined,
  question: string,
): Promise<Secret> {
  if (file !== undefined) return readPassphrase(fileArgument(context, file));
  const { questions } = context;
  if (questions.input.isTTY !== true)
    throw new ServiceError(
      "ERR_OPTION",
      "Nobody is here to type a passphrase: name a file of mode 0600 with --passphrase-file",
    );
  return ask(question, questions);
}

/** Reads one line without showing it. Ctrl-C and the end of the input count as an empty line. */
async function ask(question: string, { input, output }: Questions): Promise<Secret> {
  output.write(`${question}: `);
  // The terminal is in raw mode while readline has it, and what readline would echo goes nowhere.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const dialogue = createInterface({ input, output: nowhere, terminal: true });
  const line = await new Promise<string>((resolve) => {
    dialogue.once("close", () => resolve(""));
    dialogue.once("line", (text) => {
      resolve(text);
      dialogue.close();
    });
  });
  output.write("\n");
  return new Secret(line);
}

import { createInterface } from "node:readline";
import { ServiceError } from "@redoubt/base";
import type { CommandContext, Questions } from "./command.ts";

/**
 * Asks a person before something that cannot be undone; `yes` is true where `--yes` has answered.
 *
 * @throws ServiceError `ERR_OPTION` where nobody is there to ask, or the answer is anything but `yes`
 */
export async function confirm(
  { questions }: Pick<CommandContext, "questions">,
  what: string,
  yes = false,
): Promise<void> {
  if (yes) return;
  if (questions.input.isTTY !== true)
    throw new ServiceError("ERR_OPTION", `${what} cannot be undone: say --yes as well`);
  const answer = await ask(`${what} cannot be undone. Type yes to do it: `, questions);
  if (answer.trim() !== "yes")
    throw new ServiceError("ERR_OPTION", "Not confirmed, nothing was done");
}

/** Reads one line. Ctrl-C and the end of the input count as an empty line. */
function ask(question: string, { input, output }: Questions): Promise<string> {
  const dialogue = createInterface({ input, output });
  return new Promise((resolve) => {
    dialogue.once("close", () => resolve(""));
    dialogue.question(question, (answer) => {
      resolve(answer);
      dialogue.close();
    });
  });
}

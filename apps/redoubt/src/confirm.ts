import { createInterface } from "node:readline";
import { ServiceError } from "@redoubt/base";
import type { CommandContext, Questions } from "./command.ts";

/**
 * What cannot be undone is done on a person's word, or on `--yes`.
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

/** One line; none, after Ctrl-C or at the end of the input, is an empty one. */
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

import type { CommandContext } from "./command.ts";
import { Operator } from "./operator.ts";
import { enterRunning, type Place } from "./running.ts";

/** Work on a running system, as its operator. */
export async function withOperator<T>(
  { folder }: Pick<CommandContext, "folder">,
  work: (operator: Operator, place: Place) => Promise<T>,
): Promise<T> {
  const place = await enterRunning(folder);
  await using operator = new Operator("", place.settings);
  return await work(operator, place);
}

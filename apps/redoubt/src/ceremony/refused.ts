import { errorCode, errorLine } from "@redoubt/base";
import { KeyError } from "@redoubt/keys";
import { EXIT, type CommandContext } from "../command.ts";
import { printable } from "../table.ts";

/** A root that is not good is an answer of its own (exit code 3), not a command that did not work. */
export async function orRefused(
  { terminal, json }: CommandContext,
  work: () => Promise<number>,
): Promise<number> {
  try {
    return await work();
  } catch (error) {
    const code = errorCode(error);
    const isRefusal =
      (error instanceof KeyError && code.startsWith("ERR_ROOT_")) || code === "ERR_REGISTRY_VOID";
    if (!isRefusal) throw error;
    const message = printable(errorLine(error));
    if (json) terminal.result({ json: { error: code, message }, text: "" });
    terminal.notice(`redoubt: ${message}`);
    return EXIT.refused;
  }
}

import { isAbsolute, resolve } from "node:path";
import { ServiceError } from "@redoubt/base";
import type { Command } from "commander";
import type { Terminal } from "./terminal.ts";

/** Where a person is asked: stdin, and stderr, because stdout is for the result. */
export interface Questions {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly output: NodeJS.WritableStream;
}

/** What every command is given: where the data folder is, where to write, and whom to ask. */
export interface CommandContext {
  readonly folder: string;
  /** The folder in which the command was typed: file names in its arguments start there. */
  readonly typedIn: string;
  readonly json: boolean;
  readonly terminal: Terminal;
  readonly questions: Questions;
}

/**
 * Turns the work of a command into an action for the parser. The work gets context, arguments and options, and resolves
 * to the exit code.
 */
export type Run = <Given extends readonly unknown[]>(
  work: (context: CommandContext, ...given: Given) => Promise<number>,
) => (this: Command, ...given: Given) => Promise<void>;

/**
 * Exit codes. `failed`: something kept the command from doing its work. `uncosigned`: nothing is wrong with the logs
 * that were read, but at least one of them has no cosignature of a known witness. `unchecked`: it is done, and what
 * follows from it could not be looked at.
 */
export const EXIT = {
  ok: 0,
  failed: 1,
  attention: 2,
  refused: 3,
  uncosigned: 4,
  unchecked: 5,
} as const;

/** What somebody typed cannot be done as it was typed; the message says what is expected. */
export function optionError(message: string): ServiceError {
  return new ServiceError("ERR_OPTION", message);
}

export function fileArgument({ typedIn }: Pick<CommandContext, "typedIn">, name: string): string {
  return isAbsolute(name) ? name : resolve(typedIn, name);
}

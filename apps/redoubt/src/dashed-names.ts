import type { Command } from "commander";

/** A digest or a kid (43 characters of base64url) or a `jti` (22) that begins like an option: one in 64 does. */
const DASHED = /^-(?:[\w-]{21}|[\w-]{42})$/;

/**
 * Puts such names at the end, behind `--`, where they are arguments and no options; the value of an option stays where
 * it is.
 */
export function protectDashedNames(cli: Command, argv: readonly string[]): readonly string[] {
  if (argv.includes("--")) return argv;
  const takesValue = valueOptions(cli);
  const isName = (text: string, i: number): boolean =>
    DASHED.test(text) && !takesValue.has(argv[i - 1] ?? "");
  const names = argv.filter(isName);
  if (names.length === 0) return argv;
  return [...argv.filter((text, i) => !isName(text, i)), "--", ...names];
}

function valueOptions(command: Command): ReadonlySet<string> {
  const own = command.options.flatMap(({ long, required, optional }) =>
    long !== undefined && long !== null && (required || optional) ? [long] : [],
  );
  return new Set([...own, ...command.commands.flatMap((one) => [...valueOptions(one)])]);
}

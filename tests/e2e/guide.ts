import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** Where a reader types what a guide says to type in the clone. */
export const repository: string = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const MAIN = join(repository, "apps", "redoubt", "src", "main.ts");
const run = promisify(execFile);
const TIMEOUT_MS = 50_000;

/** The commands of a guide's tables, as they stand between backticks. */
export function tableCommands(guide: string): readonly string[] {
  const text = readFileSync(join(repository, "docs", "guide", guide), "utf8");
  const cells = text.split("\n").filter((line) => line.startsWith("|"));
  return cells.flatMap((line) =>
    [...line.matchAll(/`(npm run -s redoubt -- (?:[^`\\]|\\.)*)`/g)].map(([, command = ""]) =>
      command.replaceAll("\\|", "|"),
    ),
  );
}

/** The text of a guide between a heading and the next one of its level. */
function section(guide: string, heading: string): string {
  const text = readFileSync(join(repository, "docs", "guide", guide), "utf8");
  const found = text.split(/^(?=## )/m).find((part) => part.startsWith(`## ${heading}\n`));
  if (found === undefined) throw new Error(`${guide} has no section "${heading}"`);
  return found;
}

/** The code blocks of one language in a section, as a reader copies them. */
export function blocksOf(guide: string, heading: string, language: string): readonly string[] {
  const blocks = section(guide, heading).matchAll(/^```(\w+)\n(.*?)^```$/gms);
  const found = [...blocks].flatMap(([, name, text = ""]) => (name === language ? [text] : []));
  if (found.length === 0) throw new Error(`"${heading}" of ${guide} has no ${language} block`);
  return found;
}

interface Reader {
  /** Where the reader types. */
  readonly folder: string;
  readonly port: number;
  /** Where the reader's own settings lie, such as `.curlrc`. */
  readonly home?: string;
  /** Network namespace that stands for the reader's machine. */
  readonly namespace?: string;
}

/** Types the commands of a section into one shell, in a folder that stands for the reader's; it ends at the first failure. */
export function follow(
  { guide, heading }: { readonly guide: string; readonly heading: string },
  reader: Reader,
): Promise<string> {
  return type(blocksOf(guide, heading, "sh").join("\n"), reader);
}

/** Types commands of a guide into a shell; `npm run` stands for the same command without npm. */
export async function type(
  commands: string,
  { folder, port, home, namespace }: Reader,
): Promise<string> {
  const redoubt = `'${process.execPath}' '${MAIN}'`;
  const script = commands.replaceAll("npm run -s redoubt --", redoubt);
  const { PATH, HOME } = process.env;
  const shell = ["bash", "--norc", "-euo", "pipefail", "-c", script];
  const [command = "", ...args] =
    namespace === undefined ? shell : ["ip", "netns", "exec", namespace, ...shell];
  const { stdout } = await run(command, args, {
    cwd: folder,
    env: { PATH, HOME: home ?? HOME, LANG: "C.UTF-8", REDOUBT_PORT: String(port) },
    timeout: TIMEOUT_MS,
  });
  return stdout;
}

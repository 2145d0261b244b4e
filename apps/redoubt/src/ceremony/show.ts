import { nowSeconds, systemClock } from "@redoubt/base";
import { combineRoots } from "@redoubt/registry";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { withOperator } from "../operator.ts";
import { readRootFile } from "./files.ts";
import { orRefused } from "./refused.ts";
import { rootConcerns, rootsLabel } from "./root-state.ts";
import { lines, PRESENCE, PRESENCE_TEXT, rootJson, rootText, told } from "./root-text.ts";

/** The newest root of the running system, or what a file holds. */
export async function ceremonyShow(context: CommandContext, name?: string): Promise<number> {
  const now = nowSeconds(systemClock);
  if (name === undefined) return showNewest(context, now);
  return orRefused(context, () => {
    const root = combineRoots(readRootFile(fileArgument(context, name)));
    told(context, root, { now, file: name });
    return Promise.resolve(EXIT.ok);
  });
}

async function showNewest(context: CommandContext, now: number): Promise<number> {
  const { terminal } = context;
  const registry = await withOperator(context, (operator) => operator.readRegistry());
  const found = rootConcerns(registry, now);
  const chain = registry.roots.map(({ document, hash, index }) => ({
    version: document.version,
    hash,
    index,
  }));
  const newest = registry.roots.at(-1);
  for (const line of found) terminal.notice(line);
  terminal.result({
    json: {
      root: newest ? { index: newest.index, ...rootJson(newest) } : null,
      chain,
      concerns: found,
      ...PRESENCE,
    },
    text: newest
      ? [
          ...lines(rootText(newest, now)),
          `registry entry ${newest.index}; versions in its chain: ${chain.length}`,
          `${rootsLabel(registry) ?? "roots: none"}; ${PRESENCE_TEXT}`,
        ].join("\n")
      : "No root",
  });
  return found.length === 0 ? EXIT.ok : EXIT.attention;
}

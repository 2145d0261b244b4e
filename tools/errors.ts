// Every error code is stable API: this fails on a code that no test names, and writes docs/reference/errors.md from
// the sources. With --check it writes nothing and fails where the page is not what the sources say.
import { globSync, readFileSync, writeFileSync } from "node:fs";

const PAGE = "docs/reference/errors.md";
const SOURCES = "{packages,services,apps}/*/src/**/*.{ts,tsx}";
const TESTS = [SOURCES, "tests/**/*.ts"];
const MAX_MESSAGES = 3;
/** Names that are no codes of ours: those of Node, and beginnings of codes. */
const FOREIGN: ReadonlySet<string> = new Set(["ERR_SQLITE_ERROR", "ERR_WIRE"]);

/** A code in quotes or as the name of a member, and the text that stands after it. */
const USE =
  /(?:["'`](ERR_[A-Z0-9_]+)["'`]|^\s*(ERR_[A-Z0-9_]+)\??:)(?:[,\s]+(["`])((?:\\.|(?!\3)[^\\])*)\3)?/gm;

interface Found {
  readonly places: Set<string>;
  readonly messages: Set<string>;
}

function isTest(file: string): boolean {
  return /\.test\.tsx?$|^tests\//.test(file);
}

/** Helpers of tests: they neither define a code nor test one. */
function isHelper(file: string): boolean {
  return /\/testing\/|\/testkit\/|\/fixture-[^/]*$/.test(file);
}

function layerOf(folder: string): number {
  const manifest: unknown = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const isObject = typeof manifest === "object" && manifest !== null;
  return isObject && "layer" in manifest ? Number(manifest.layer) : Number.MAX_SAFE_INTEGER;
}

/** The same order on every machine. */
function byName(
  [a]: readonly [string, ...unknown[]],
  [b]: readonly [string, ...unknown[]],
): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function folderOf(file: string): string {
  return file.split("/", 2).join("/");
}

/** What a template fills in is left out; nothing may end the code span that the text goes into. */
function plain(message: string): string {
  return message
    .replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, "…")
    .replace(/\$\{.*$/s, "…")
    .replaceAll("`", "'")
    .replaceAll("\\", "")
    .trim();
}

function collect(files: readonly string[]): ReadonlyMap<string, Found> {
  const codes = new Map<string, Found>();
  for (const file of files)
    for (const [, quoted, member, , message] of readFileSync(file, "utf8").matchAll(USE)) {
      const code = quoted ?? member ?? "";
      // A name that ends in an underscore is the beginning of several codes.
      if (FOREIGN.has(code) || code.endsWith("_")) continue;
      const found = codes.get(code) ?? { places: new Set(), messages: new Set() };
      codes.set(code, found);
      found.places.add(folderOf(file));
      // A text without a space is another argument.
      if (message?.includes(" ")) found.messages.add(plain(message));
    }
  return codes;
}

function tested(): ReadonlySet<string> {
  const files = globSync(TESTS).filter(isTest);
  const names = files.flatMap((file) => readFileSync(file, "utf8").match(/ERR_[A-Z0-9_]+/g) ?? []);
  return new Set(names);
}

function page(codes: ReadonlyMap<string, Found>): string {
  const layers = new Map(
    [...codes.values()].flatMap(({ places }) => [...places]).map((at) => [at, layerOf(at)]),
  );
  // A code belongs to the lowest place that names it; the others pass it on.
  const ownerOf = ({ places }: Found): string =>
    [...places].toSorted(
      (a, b) => (layers.get(a) ?? 0) - (layers.get(b) ?? 0) || byName([a], [b]),
    )[0] ?? "";
  const byOwner = Map.groupBy([...codes].toSorted(byName), ([, found]) => ownerOf(found));
  const sections = [...byOwner].toSorted(byName).map(([owner, list]) => {
    const lines = list.map(([code, { messages }]) => {
      const texts = [...messages].slice(0, MAX_MESSAGES).map((text) => `\`${text}\``);
      return `- \`${code}\`${texts.length > 0 ? `: ${texts.join(", ")}` : ""}`;
    });
    return `## ${owner}\n\n${lines.join("\n")}\n`;
  });
  const head =
    "# Error codes\n\nGenerated from the sources by `tools/errors.ts`. Codes are stable; texts may change.\n";
  return [head, ...sections].join("\n");
}

const sources = globSync(SOURCES)
  .toSorted()
  .filter((file) => !isTest(file) && !isHelper(file));
const codes = collect(sources);
const known = tested();
const problems = [...codes]
  .filter(([code]) => !known.has(code))
  .map(([code, { places }]) => `${code} (${[...places].join(", ")}): no test names it`);
if (codes.size === 0) problems.push("errors: no code found");
const text = page(codes);
if (!process.argv.includes("--check")) writeFileSync(PAGE, text);
else if (readFileSync(PAGE, "utf8") !== text)
  problems.push(`${PAGE} is not what the sources say: npm run fix`);
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exitCode = 1;
} else console.log(`errors: ok (${codes.size} codes)`);

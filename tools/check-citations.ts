// What code and documents cite exists: sections, promises, threats, design notes, files that are linked; and each
// threat has a test that names it. A citation that leads nowhere tells its reader that a reason was made up.
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const ARCHITECTURE = "docs/spec/architecture.md";
const THREATS = "docs/spec/threats.md";
const FOLDERS = "{apps,docs,examples,packages,services,tests,tools,vectors}";
const SOURCES = [`${FOLDERS}/**/*.{ts,tsx,js,mjs,md}`, "*.md"];
/** These two speak of citations, and cite nothing. */
const SELF = /^tools\/check-citations(?:\.test)?\.ts$/;

const SECTION = String.raw`\d+(?:\.\d+)*`;
/** One section or several: "§1", "§1, §4", "§3 to §5". */
const SECTIONS = `§(${SECTION}(?:(?:,| and| to) §${SECTION})*)`;
const OF_ARCHITECTURE = new RegExp(`ARCHITECTURE ${SECTIONS}`, "g");
const OF_FILE = new RegExp(String.raw`([\w./-]+\.md)[\x60\])]*,? ${SECTIONS}`, "g");
/** Neither a curve (P-256), a duration (P14D, P1.5D), nor a piece of base64. */
const PROMISE = /(?<![\w/+-])P[1-9]\d?(?![\w/+=]|\.\d)/g;
/** Also the short form of several: "THREAT-02, 11 and 12". */
const THREAT = /THREAT-(\d+(?:(?:, | and )\d\d\b)*)/g;
const DESIGN_NOTE = /(?:\bnotes? |docs\/design\/)(\d{4})\b/gi;
const LINK = /\]\(([^)\s]+)\)/g;
const FENCED = /^```[^]*?^```/gm;

export interface Sources {
  /** Path from the root, with "/", and text. */
  readonly files: ReadonlyMap<string, string>;
  /** Whether there is a file or folder. */
  readonly exists: (path: string) => boolean;
}

/** How many citations were looked at, and what is wrong with which. */
export function checkCitations(sources: Sources): {
  readonly checked: number;
  readonly problems: readonly string[];
} {
  const problems: string[] = [];
  let checked = 0;
  const known = knownNames(sources);
  for (const [file, source] of sources.files) {
    if (SELF.test(file)) continue;
    for (const [citation, problem] of citationsOf(file, source, { ...sources, ...known })) {
      checked += 1;
      if (problem !== undefined) problems.push(`${file}: ${citation}: ${problem}`);
    }
  }
  return { checked, problems: [...problems, ...threatsWithoutTest(sources, known.threats)] };
}

interface Known {
  readonly promises: ReadonlySet<string>;
  readonly threats: ReadonlySet<string>;
}

function knownNames({ files }: Sources): Known {
  const rows = (file: string, name: RegExp): ReadonlySet<string> =>
    new Set((files.get(file) ?? "").match(name));
  return {
    promises: rows(ARCHITECTURE, /(?<=^\| )P\d+(?= )/gm),
    threats: rows(THREATS, /(?<=^\| )THREAT-\d+(?= )/gm),
  };
}

type Citation = readonly [text: string, problem: string | undefined];

function* citationsOf(file: string, source: string, at: Sources & Known): Generator<Citation> {
  // Where a comment goes on in its next line, so does a citation.
  const text = source.replaceAll(/\n[ \t]*(?:\/\/|\*(?!\/))?[ \t]*/g, " ");
  for (const [citation, sections = ""] of text.matchAll(OF_ARCHITECTURE))
    yield [citation, missingSection(ARCHITECTURE, sections, at)];
  for (const [citation, name = "", sections = ""] of text.matchAll(OF_FILE))
    yield [citation, missingSection(fileNamed(name, file, at), sections, at)];
  for (const [promise] of text.matchAll(PROMISE))
    yield [promise, at.promises.has(promise) ? undefined : `not in ${ARCHITECTURE}`];
  for (const [, numbers = ""] of text.matchAll(THREAT)) yield* threatsOf(numbers, at);
  for (const [citation, number = ""] of text.matchAll(DESIGN_NOTE))
    yield [citation, noteExists(number, at) ? undefined : "no such file in docs/design"];
  if (file.endsWith(".md")) yield* linksOf(file, source, at);
}

/** As somebody reads it: beside the file that names it, from the root, or of our formats. */
function fileNamed(name: string, citing: string, { files }: Sources): string {
  const places = [join(dirname(citing), name), name, `docs/spec/${name}`];
  return places.find((place) => files.has(place)) ?? name;
}

function missingSection(file: string, sections: string, { files }: Sources): string | undefined {
  const text = files.get(file);
  if (text === undefined) return "no such file";
  const headings = new Set(text.match(new RegExp(`(?<=^#+ )${SECTION}(?=[. ])`, "gm")));
  const missing = sections.match(new RegExp(SECTION, "g"))?.filter((n) => !headings.has(n)) ?? [];
  return missing.length === 0 ? undefined : `no section ${missing.join(", ")} in ${file}`;
}

function* threatsOf(numbers: string, { threats }: Known): Generator<Citation> {
  for (const number of numbers.match(/\d+/g) ?? []) {
    const id = `THREAT-${number}`;
    yield [id, threats.has(id) ? undefined : `not in ${THREATS}`];
  }
}

function noteExists(number: string, { files }: Sources): boolean {
  return [...files.keys()].some((path) => path.startsWith(`docs/design/${number}-`));
}

function* linksOf(file: string, source: string, { exists }: Sources): Generator<Citation> {
  for (const [, target = ""] of source.replaceAll(FENCED, "").matchAll(LINK)) {
    const [path = ""] = target.split("#", 1);
    if (path === "" || /^[a-z]+:/i.test(path)) continue;
    yield [target, exists(join(dirname(file), path)) ? undefined : "no such file"];
  }
}

function threatsWithoutTest({ files }: Sources, threats: ReadonlySet<string>): string[] {
  const tests = new Map(
    [...files].filter(([path]) => /\.test\.tsx?$|^tests\//.test(path) && !SELF.test(path)),
  );
  const rows = (files.get(THREATS) ?? "").split("\n");
  return [...threats].flatMap((id) => {
    const named = [...tests.values()].some((text) => text.includes(id));
    const links = [...(rows.find((row) => row.startsWith(`| ${id} `)) ?? "").matchAll(LINK)];
    const silent = links
      .map(([, target = ""]) => join(dirname(THREATS), target))
      .filter((path) => tests.get(path)?.includes(id) === false);
    return [
      ...(named ? [] : [`${THREATS}: ${id}: no test names it`]),
      ...silent.map((path) => `${THREATS}: ${id}: ${path} does not name it`),
    ];
  });
}

if (import.meta.main) {
  const paths = globSync(SOURCES, { exclude: ["**/node_modules/**"] });
  const files = new Map(paths.map((path) => [path, readFileSync(path, "utf8")]));
  const { checked, problems } = checkCitations({ files, exists: existsSync });
  if (checked === 0) throw new Error("citations: none found");
  console.log([...problems, `citations: ${checked} checked`].join("\n"));
  if (problems.length > 0) process.exitCode = 1;
}

// Writes docs/reference/conformance.md from what `redoubt conformance --json` said:
// tools/conformance-table.ts <name>=<file>...
// Counts only, and only of classes in PUBLISHED. What else a library may accept is for its authors to hear first.
import { readFileSync, writeFileSync } from "node:fs";

const PAGE = "docs/reference/conformance.md";
/** Known differences, each documented by the libraries or by the RFC that leaves it open. */
const PUBLISHED = new Map([
  ["valid", "Algorithms that a library does not have; then it refuses their attacks too"],
  ["typ", "No check of `typ` unless the caller makes one (RFC 8725 §3.11 asks for it)"],
  ["duplicate-members", "The last of two members counts (RFC 7519 §4 leaves it open)"],
  ["header-members", "Unknown members of the header are ignored (RFC 7515 §4)"],
  ["binding", "`cnf` is for the caller to check (RFC 9449, RFC 8705)"],
  ["key-realm", "No key scope: any key of the set may sign for any issuer, tenant and audience"],
  ["key-window", "No key scope: a key signs as long as it is in the set, for any lifetime"],
]);

interface ClassReport {
  readonly name: string;
  readonly title: string;
  readonly counts: Readonly<Record<string, number>>;
}

interface Report {
  readonly classes: readonly ClassReport[];
}

function readReport(file: string): Report {
  const { classes } = JSON.parse(readFileSync(file, "utf8")) as Report;
  const isOfAll = classes.every(({ counts }) => counts["not-asked"] === 0);
  if (!isOfAll) throw new Error(`${file}: not every case was asked`);
  return { classes };
}

function cell({ counts }: ClassReport): string {
  const wrong = (counts["accepted-though-invalid"] ?? 0) + (counts["refused-though-valid"] ?? 0);
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return `${wrong} of ${all}`;
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

const columns = process.argv.slice(2).map((argument) => {
  const [name = "", file = ""] = argument.split("=");
  return { name, ...readReport(file) };
});
const [first] = columns;
if (first === undefined) throw new Error("usage: tools/conformance-table.ts <name>=<file>...");

const rows = [...PUBLISHED].map(([name, difference]) => {
  const cells = columns.map(({ classes }) => {
    const found = classes.find((one) => one.name === name);
    if (found === undefined) throw new Error(`${name}: no such class`);
    return cell(found);
  });
  return row([`\`${name}\``, ...cells, difference]);
});
const heading = ["class", ...columns.map(({ name }) => name), "known difference"];
const text = `# Conformance of verifiers

Written by \`tools/conformance-table.ts\` from results of \`redoubt conformance\` ([guide](../guide/conformance.md)). How many answers in a class were wrong: good tokens refused in \`valid\`, invalid ones accepted in all others. Each verifier had every option that it has for issuer, audience, algorithms, \`typ\` and required claims, and one key set for two realms; @redoubt/verify had the scope of each key too.

${row(heading)}
${row(heading.map(() => "---"))}
${rows.join("\n")}

A count is not a vulnerability: the classes are differences that are known and documented, and most are allowed by the RFCs. Other classes are not published for other people's libraries. \`redoubt conformance\` shows you all of them for the version that you use.
`;
writeFileSync(PAGE, text);

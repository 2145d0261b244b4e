// Writes docs/reference/verify.md, the API of @redoubt/verify, from its declarations and their comments. With --check it
// writes nothing and fails where the page is not what the sources say.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { SyntaxKind, type Node } from "typescript/unstable/ast";
import { API, SymbolFlags, type Project, type Symbol } from "typescript/unstable/sync";

const PAGE = "docs/reference/verify.md";
const PACKAGE = "packages/verify";
const KINDS = ["Functions", "Classes", "Constants", "Types"] as const;
const HEAD = `# API of @redoubt/verify

Generated from the sources by \`tools/api.ts\`. How to use it is in the [README](../../packages/verify/README.md); all codes are in [errors.md](errors.md). The declarations need no \`@types/node\`: ES2022 and the names of the web (\`fetch\`, \`URL\`, \`Request\`), which TypeScript has by default in its library DOM.
`;

interface Entry {
  readonly name: string;
  readonly kind: (typeof KINDS)[number];
  readonly text: string;
}

/** Where a doc comment may hold lines of a paragraph, the page has one line. */
function prose(text: string): string {
  return text
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replaceAll(/\s*\n\s*(?![-*] )/g, " ").trim())
    .join("\n\n");
}

function kindOf({ kind }: Node): Entry["kind"] {
  if (kind === SyntaxKind.FunctionDeclaration) return "Functions";
  if (kind === SyntaxKind.ClassDeclaration) return "Classes";
  return kind === SyntaxKind.VariableDeclaration ? "Constants" : "Types";
}

function signature(node: Node): string {
  // The statement of `declare const name: type;` is two above the name.
  const statement = node.kind === SyntaxKind.VariableDeclaration ? node.parent.parent : node;
  return statement.getText().replace(/^export (?:declare )?/, "");
}

function entryOf({ checker }: Project, name: string, symbol: Symbol): Entry {
  const target = symbol.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const nodes = target.declarations.flatMap((handle) => handle.resolve() ?? []);
  const [first] = nodes;
  if (first === undefined) throw new Error(`${name} has no declaration`);
  const tags = checker.getJsDocTagsOfSymbol(target).map(({ name: tag, text = "" }) => {
    if (tag === "example") return `\`\`\`js\n${text.trim()}\n\`\`\``;
    return tag === "throws" ? `Throws: ${prose(text)}` : `${tag}: ${prose(text)}`;
  });
  const code = `\`\`\`ts\n${nodes.map(signature).join("\n")}\n\`\`\``;
  const comment = prose(checker.getDocumentationCommentOfSymbol(target));
  const parts = [`#### ${name}`, comment, code, ...tags].filter((part) => part !== "");
  return { name, kind: kindOf(first), text: parts.join("\n\n") };
}

function section(project: Project, folder: string, [subpath, source]: readonly [string, string]) {
  const file = join(folder, source.replace("./src/", "").replace(/ts$/, "d.ts"));
  const module = project.checker.getSymbolAtLocation(
    project.program.getSourceFile(file) ?? raise(`${subpath}: no declarations`),
  );
  const symbols = project.checker.getExportsOfModule(module ?? raise(`${subpath}: no module`));
  return {
    title: `## ${join("@redoubt/verify", subpath)}`,
    entries: symbols.map((symbol) => entryOf(project, symbol.name, symbol)),
  };
}

function raise(message: string): never {
  throw new Error(message);
}

function byName(a: Entry, b: Entry): number {
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}

function page(sections: readonly ReturnType<typeof section>[]): string {
  const seen = new Set<string>();
  const parts = [HEAD];
  for (const { title, entries } of sections) {
    const own = entries.filter(({ text }) => !seen.has(text));
    const again = entries.filter(({ text }) => seen.has(text)).toSorted(byName);
    for (const { text } of own) seen.add(text);
    parts.push(title);
    if (again.length > 0)
      parts.push(`As above: ${again.map(({ name }) => `\`${name}\``).join(", ")}.`);
    for (const kind of KINDS) {
      const list = own.filter((entry) => entry.kind === kind).toSorted(byName);
      if (list.length > 0) parts.push(`### ${kind}`, ...list.map(({ text }) => text));
    }
  }
  return `${parts.join("\n\n")}\n`;
}

/** What is published is described: members that are internal are not in the declarations. */
function describe(folder: string): string {
  const emit = ["--emitDeclarationOnly", "--outDir", folder];
  execFileSync("node_modules/.bin/tsc", ["-p", `${PACKAGE}/tsconfig.pack.json`, ...emit], {
    stdio: ["ignore", 2, 2],
  });
  const config = join(folder, "tsconfig.json");
  const compilerOptions = { noEmit: true, module: "NodeNext", target: "ES2024", types: [] };
  writeFileSync(config, JSON.stringify({ compilerOptions, include: ["**/*.d.ts"] }));
  const manifest = JSON.parse(readFileSync(`${PACKAGE}/package.json`, "utf8")) as {
    readonly exports: Readonly<Record<string, string>>;
  };
  const api = new API({ cwd: folder });
  try {
    const [project] = api.updateSnapshot({ openProjects: [config] }).getProjects();
    if (project === undefined) throw new Error("No project");
    const entries = Object.entries(manifest.exports);
    return page(entries.map((entry) => section(project, folder, entry)));
  } finally {
    api.close();
  }
}

const scratch = mkdtempSync(join(tmpdir(), "redoubt-api-"));
try {
  const text = execFileSync("node_modules/.bin/oxfmt", ["--stdin-filepath", resolve(PAGE)], {
    input: describe(scratch),
    encoding: "utf8",
  });
  if (!process.argv.includes("--check")) writeFileSync(PAGE, text);
  else if (readFileSync(PAGE, "utf8") !== text) {
    console.error(`${PAGE} is not what the sources say: npm run fix`);
    process.exitCode = 1;
  }
} finally {
  rmSync(scratch, { recursive: true });
}

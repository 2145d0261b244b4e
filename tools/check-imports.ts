// Three rules of what production code holds. No two files import values from each other in a circle (types may: they
// are gone at run time), and no package does. An operation of a socket is asked for by its definition in
// packages/wire/src/protocol, never by a literal that nothing holds against it. And what an auditor must read reaches no
// foreign package but those that are named here (THREAT-33); `npm ci` pins each by its hash.
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const SOURCES = "{packages,services,apps,tests,tools,examples}/**/*.{ts,tsx,js,mjs}";
const MANIFESTS = "{packages,services,apps}/*/package.json";
/** The definitions, and the drills, which send hostile requests on purpose. */
const MAY_NAME_OPERATIONS = /^(?:packages\/wire|apps\/redoubt\/src\/drill)\//;
const PRODUCTION = /^(?:packages|services|apps)\//;
const FOR_TESTS = /\.test\.tsx?$|\/testing\/|^packages\/testkit\//;
const OPERATION = /\bop: *["'`]([^"'`]*)/g;
/** With what is imported, if anything is named. */
const IMPORT = /^(?:import|export)\s+(type\s)?(?:[^"';]*?\sfrom\s+)?["'](\.[^"']+)["']/gm;

/** Foreign packages that may be reached from the processes that keep keys and logs, or decide about them. */
export const ALLOWED_FOREIGN: Readonly<Record<string, readonly string[]>> = {
  "@redoubt/ledger": ["pkcs11js"],
  "@redoubt/monitor": ["pkcs11js", "@noble/curves"],
  "@redoubt/broker": ["pkcs11js"],
  "@redoubt/custody-gateway": ["pkcs11js"],
  // Those of the clouds are loaded where a cloud holds the keys.
  "@redoubt/signer": [
    "pkcs11js",
    "@aws-sdk/client-kms",
    "@azure/identity",
    "@azure/keyvault-keys",
    "@google-cloud/kms",
  ],
};

type Files = ReadonlyMap<string, string>;
type Graph = ReadonlyMap<string, readonly string[]>;

export function checkOperations(files: Files): string[] {
  return [...files].flatMap(([file, text]) =>
    PRODUCTION.test(file) && !FOR_TESTS.test(file) && !MAY_NAME_OPERATIONS.test(file)
      ? [...text.matchAll(OPERATION)].map(
          ([, op]) => `${file}: "${op}" is asked for without its definition in packages/wire`,
        )
      : [],
  );
}

/** Each file and those of ours that it imports values from. */
export function fileGraph(files: Files): Graph {
  return new Map(
    [...files].map(([file, text]) => [
      file,
      [...text.matchAll(IMPORT)].flatMap(([, type, target = ""]) =>
        type === undefined ? [join(dirname(file), target)] : [],
      ),
    ]),
  );
}

/** Each package and those of ours that it depends on. */
export function packageGraph(manifests: Files): Graph {
  return new Map(
    [...manifests].map(([file, text]) => {
      const manifest: unknown = JSON.parse(text);
      return [nameOf(manifest, file), dependenciesOf(manifest)];
    }),
  );
}

/** Foreign packages that a process reaches and that nobody allowed it. */
export function foreignOf(
  manifests: Files,
  allowed: Readonly<Record<string, readonly string[]>>,
): string[] {
  const graph = packageGraph(manifests);
  return Object.entries(allowed).flatMap(([process, names]) => {
    if (!graph.has(process)) return [`${process}: no such process`];
    const reached = reachedFrom(graph, process).filter((name) => !graph.has(name));
    return reached
      .filter((name) => !names.includes(name))
      .map((name) => `${process}: reaches ${name}, which nobody allowed it`);
  });
}

function reachedFrom(graph: Graph, start: string): readonly string[] {
  const reached = new Set([start]);
  for (const node of reached) for (const next of graph.get(node) ?? []) reached.add(next);
  return [...reached];
}

function member(value: unknown, name: string): unknown {
  const isObject = typeof value === "object" && value !== null;
  return isObject ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined;
}

function nameOf(manifest: unknown, file: string): string {
  const name = member(manifest, "name");
  return typeof name === "string" ? name : file;
}

function dependenciesOf(manifest: unknown): readonly string[] {
  return ["dependencies", "optionalDependencies"].flatMap((name) =>
    Object.keys(Object(member(manifest, name) ?? {})),
  );
}

/** A circle for each import that closes one, as the way around. */
export function circlesOf(graph: Graph): readonly (readonly string[])[] {
  const circles: (readonly string[])[] = [];
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (node: string): void => {
    const start = way.indexOf(node);
    if (start >= 0) circles.push([...way.slice(start), node]);
    if (start >= 0 || done.has(node)) return;
    way.push(node);
    for (const next of graph.get(node) ?? []) visit(next);
    way.pop();
    done.add(node);
  };
  for (const node of graph.keys()) visit(node);
  return circles;
}

function read(pattern: string): Files {
  const paths = globSync(pattern, { exclude: ["**/node_modules/**"] });
  return new Map(paths.map((path) => [path, readFileSync(path, "utf8")]));
}

if (import.meta.main) {
  const files = read(SOURCES);
  const manifests = read(MANIFESTS);
  if (files.size === 0 || manifests.size === 0) throw new Error("imports: nothing found");
  const circles = [fileGraph(files), packageGraph(manifests)].flatMap(circlesOf);
  const problems = [
    ...checkOperations(files),
    ...foreignOf(manifests, ALLOWED_FOREIGN),
    ...circles.map((circle) => `circle: ${circle.join(" → ")}`),
  ];
  console.log([...problems, `imports: ${files.size} files checked`].join("\n"));
  if (problems.length > 0) process.exitCode = 1;
}

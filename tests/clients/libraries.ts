import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { blocksOf } from "../e2e/guide.ts";

/** How to run the example of a guide's section, or why it cannot be run here. */
export type Example =
  | { readonly run: (env: Readonly<Record<string, string>>) => Promise<string> }
  | { readonly why: string };

type Program = readonly [file: string, ...args: string[]];

const GUIDE = "clients.md";
const BUILD_MS = 300_000;
const RUN_MS = 30_000;
const execute = promisify(execFile);

/** A folder of its own for each example; removed when the tests are over. */
const folder = mkdtempSync(join(tmpdir(), "rdt-clients-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** The versions are those of go/go.mod. */
export async function goExample(): Promise<Example> {
  const go = find("go", "/usr/local/go/bin");
  if (go === undefined) return { why: "no Go here" };
  const cwd = join(folder, "go");
  cpSync(join(import.meta.dirname, "go"), cwd, { recursive: true });
  writeFileSync(join(cwd, "main.go"), example("Go: golang.org/x/oauth2 and go-oidc", "go"));
  const env = { ...process.env, GOFLAGS: "-mod=readonly -buildvcs=false", GOTOOLCHAIN: "local" };
  const missing = await fetched([go, "mod", "download"], { cwd, env });
  if (missing !== undefined) return { why: `no Go modules: ${missing}` };
  const program = join(cwd, "client");
  // From here on a failure is one of ours.
  await execute(go, ["build", "-o", program, "."], { cwd, env, timeout: BUILD_MS });
  return { run: running([program]) };
}

/** The versions are those of java/pom.xml. */
export async function javaExample(): Promise<Example> {
  const [java, maven] = [find("java"), find("mvn")];
  if (java === undefined || maven === undefined) return { why: "no Java or no Maven here" };
  const cwd = join(folder, "java");
  cpSync(join(import.meta.dirname, "java"), cwd, { recursive: true });
  const list = join(cwd, "classpath");
  const goal = ["-q", "-B", "dependency:build-classpath", `-Dmdep.outputFile=${list}`];
  const missing = await fetched([maven, ...goal], { cwd, env: process.env });
  if (missing !== undefined) return { why: `no Maven artifacts: ${missing}` };
  const source = join(cwd, "Client.java");
  writeFileSync(source, example("Java: Spring Security", "java"));
  return { run: running([java, "-cp", readFileSync(list, "utf8").trim(), source]) };
}

function example(heading: string, language: string): string {
  return blocksOf(GUIDE, heading, language).join("\n");
}

function find(name: string, ...more: readonly string[]): string | undefined {
  const folders = [...more, ...(process.env.PATH ?? "").split(delimiter)];
  return folders.map((at) => join(at, name)).find((file) => existsSync(file));
}

/** @returns why it could not be, or undefined */
async function fetched(
  [file, ...args]: Program,
  at: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
): Promise<string | undefined> {
  try {
    await execute(file, args, { ...at, timeout: BUILD_MS });
    return undefined;
  } catch (error) {
    return String(error).slice(0, 300);
  }
}

function running([file, ...args]: Program) {
  return async (env: Readonly<Record<string, string>>): Promise<string> => {
    const { PATH, HOME } = process.env;
    const { stdout } = await execute(file, args, {
      env: { PATH, HOME, ...env },
      timeout: RUN_MS,
    });
    return stdout.trim();
  };
}

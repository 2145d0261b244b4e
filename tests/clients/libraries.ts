import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { blocksOf } from "../e2e/guide.ts";

/** Runs an example with this environment; answers what it printed. */
type Run = (env: Readonly<Record<string, string>>) => Promise<string>;

/** Why examples cannot be run here. */
export interface Missing {
  readonly why: string;
}

type Example = { readonly run: Run } | Missing;

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
  const built = await buildGo("go", example("Go: golang.org/x/oauth2 and go-oidc", "go"));
  return "why" in built ? built : { run: running([built.program]) };
}

/** The relying party of go-people/main.go, as a program. */
export function goParty(): Promise<{ readonly program: string } | Missing> {
  const file = join(import.meta.dirname, "go-people", "main.go");
  return buildGo("go-people", readFileSync(file, "utf8"));
}

async function buildGo(
  name: string,
  code: string,
): Promise<{ readonly program: string } | Missing> {
  const go = find("go", "/usr/local/go/bin");
  if (go === undefined) return { why: "no Go here" };
  const cwd = join(folder, name);
  cpSync(join(import.meta.dirname, "go"), cwd, { recursive: true });
  writeFileSync(join(cwd, "main.go"), code);
  const env = { ...process.env, GOFLAGS: "-mod=readonly -buildvcs=false", GOTOOLCHAIN: "local" };
  const missing = await fetched([go, "mod", "download"], { cwd, env });
  if (missing !== undefined) return { why: `no Go modules: ${missing}` };
  const program = join(cwd, "client");
  // From here on a failure is one of ours.
  await execute(go, ["build", "-o", program, "."], { cwd, env, timeout: BUILD_MS });
  return { program };
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

export interface PythonExamples {
  /** Writes a key pair into the folder of the examples. */
  readonly makeKey: Run;
  readonly getToken: Run;
  /** The same where nobody says what the audience is. */
  readonly getTokenByDefault: Run;
  readonly jwks: string;
}

/** The versions are those of python/requirements.txt. */
export async function pythonExamples(): Promise<PythonExamples | Missing> {
  const python = find("python3");
  if (python === undefined) return { why: "no Python here" };
  const cwd = join(folder, "python");
  cpSync(join(import.meta.dirname, "python"), cwd, { recursive: true });
  const at = { cwd, env: process.env };
  const own = join(cwd, "venv", "bin", "python");
  const missing =
    (await fetched([python, "-m", "venv", "venv"], at)) ??
    (await fetched([own, "-m", "pip", "install", "-q", "-r", "requirements.txt"], at));
  if (missing !== undefined) return { why: `no Python packages: ${missing}` };
  const heading = "Python: Authlib, with a key in place of a secret";
  const [makeKey = "", getToken = ""] = blocksOf(GUIDE, heading, "py");
  const byDefault = getToken.replace("PrivateKeyJWT(issuer)", "PrivateKeyJWT()");
  if (byDefault === getToken) throw new Error(`"${heading}" of ${GUIDE} names no audience`);
  const runs = (code: string): Run => running([own, "-c", code], cwd);
  return {
    makeKey: runs(makeKey),
    getToken: runs(getToken),
    getTokenByDefault: runs(byDefault),
    jwks: join(cwd, "robot.jwks"),
  };
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

function running([file, ...args]: Program, cwd = folder): Run {
  return async (env) => {
    const { PATH, HOME } = process.env;
    const { stdout } = await execute(file, args, {
      cwd,
      env: { PATH, HOME, ...env },
      timeout: RUN_MS,
    });
    return stdout.trim();
  };
}

// Runs tests in processes of their own, the most telling ones first.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Mutation } from "./mutations.ts";

/** A hang is noticed, too: "timed out" counts as such, not as survived. */
export type Outcome = "killed" | "survived" | "timed out";

interface TestFile {
  readonly file: string;
  readonly loads: ReadonlySet<string>;
  readonly ms: number;
}

interface Task {
  readonly folderUrl: string;
  readonly recordFile?: string;
  readonly mutation?: { url: string; start: number; end: number; replacement: string };
}

interface Ended {
  readonly outcome: Outcome;
  readonly failedFile: string;
  readonly output: string;
}

const RECORD_LIMIT_MS = 120_000;
const SLOWER = 4;

export interface RunSettings {
  /** The sources of the package. */
  readonly folder: string;
  /** For files of the run. */
  readonly work: string;
  readonly workers: number;
  readonly slackMs: number;
  /** Ends every process that was started. */
  readonly stop: AbortSignal;
}

export class TestRuns {
  readonly #settings: RunSettings;
  readonly #tests: readonly TestFile[];
  /** For each source file its tests; the one that killed last stands first. */
  readonly #order = new Map<string, readonly TestFile[]>();

  private constructor(settings: RunSettings, tests: readonly TestFile[]) {
    this.#settings = settings;
    this.#tests = tests;
  }

  /** Runs every test file alone, unchanged: which source files it loads, and how long it takes. */
  static async record(files: readonly string[], settings: RunSettings): Promise<TestRuns> {
    const { folder, work, workers } = settings;
    const tests: TestFile[] = [];
    const queue = files.entries();
    async function recordEach(): Promise<void> {
      for (const [index, file] of queue) {
        const recordFile = join(work, `loads-${index}`);
        writeFileSync(recordFile, "");
        const start = performance.now();
        const task = { folderUrl: folderUrl(folder), recordFile };
        const { outcome, output } = await runTests([file], task, RECORD_LIMIT_MS, settings);
        if (outcome !== "survived") throw new Error(`fails as it is: ${file}\n${output}`);
        const loads = new Set(readFileSync(recordFile, "utf8").split("\n"));
        tests.push({ file, loads, ms: performance.now() - start });
      }
    }
    await Promise.all(Array.from({ length: workers }, recordEach));
    return new TestRuns(settings, tests);
  }

  async outcomeOf(mutation: Mutation): Promise<Outcome> {
    const { file, start, end, replacement } = mutation;
    const url = pathToFileURL(file).href;
    const { folder, slackMs } = this.#settings;
    const task = { folderUrl: folderUrl(folder), mutation: { url, start, end, replacement } };
    const [first, ...others] = this.#testsOf(file);
    for (const tests of [first === undefined ? [] : [first], others]) {
      if (tests.length === 0) continue;
      const limit = slackMs + SLOWER * tests.reduce((sum, { ms }) => sum + ms, 0);
      const names = tests.map((test) => test.file);
      const { outcome, failedFile } = await runTests(names, task, limit, this.#settings);
      if (outcome === "killed") this.#moveToFront(file, failedFile);
      if (outcome !== "survived") return outcome;
    }
    return "survived";
  }

  /** The test beside the file first, then those that load the fewest others. */
  #testsOf(file: string): readonly TestFile[] {
    const known = this.#order.get(file);
    if (known !== undefined) return known;
    const beside = file.replace(/\.ts$/, ".test.ts");
    const rank = (test: TestFile): number => (test.file === beside ? 0 : test.loads.size);
    const tests = this.#tests
      .filter(({ loads }) => loads.has(pathToFileURL(file).href))
      .toSorted((a, b) => rank(a) - rank(b));
    this.#order.set(file, tests);
    return tests;
  }

  #moveToFront(file: string, testFile: string): void {
    const tests = this.#testsOf(file);
    const found = tests.find((test) => test.file === testFile);
    if (found !== undefined)
      this.#order.set(file, [found, ...tests.filter((test) => test !== found)]);
  }
}

function folderUrl(folder: string): string {
  return `${pathToFileURL(folder).href}/`;
}

function runTests(
  files: readonly string[],
  task: Task,
  timeout: number,
  { work, stop }: RunSettings,
): Promise<Ended> {
  const hook = new URL("hook.ts", import.meta.url).href;
  const runner = join(import.meta.dirname, "run-tests.ts");
  const child = spawn(process.execPath, [runner, ...files], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: Math.ceil(timeout),
    signal: stop,
    // A test that never yields hears no other.
    killSignal: "SIGKILL",
    env: {
      ...process.env,
      // Set inside a test, it would make the runner below report to that test.
      NODE_TEST_CONTEXT: undefined,
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --import=${hook}`,
      NODE_COMPILE_CACHE: join(work, "compiled"),
      REDOUBT_MUTATE: JSON.stringify(task),
    },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code, signal) => {
      const failedFile = output.trimEnd().split("\n").at(-1) ?? "";
      const died = signal === "SIGKILL" ? "timed out" : "killed";
      done({ outcome: code === 0 ? "survived" : died, failedFile, output });
    });
  });
}

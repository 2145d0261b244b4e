// Takes the checks of a package out, one at a time, and runs the package's tests: `npm run mutate -- packages/verify`.
// Fails on a check that no test misses, and names it. What is taken out: tools/mutate/mutations.ts.
// [--workers 1|2] [--only <source file>]... [--json] [--slack <ms that a run may take beyond four times its usual time>]
import { globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Mutation, mutationsOf } from "./mutate/mutations.ts";
import { type Outcome, TestRuns } from "./mutate/test-runs.ts";

type Result = Mutation & { readonly outcome: Outcome | "skipped" };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    workers: { type: "string", default: "2" },
    only: { type: "string", multiple: true, default: [] },
    slack: { type: "string", default: "10000" },
    json: { type: "boolean", default: false },
  },
});
const [folder] = positionals;
const workers = Number(values.workers);
if (folder === undefined || positionals.length > 1 || (workers !== 1 && workers !== 2))
  throw new Error("usage: mutate <package> [--workers 1|2] [--only <source file>]... [--json]");

function isTest(file: string): boolean {
  return file.endsWith(".test.ts");
}

/** Helpers of tests. */
function isHelper(file: string): boolean {
  return file.includes("/testing/") || basename(file).startsWith("fixture-");
}

const only = values.only.map((file) => resolve(file));
const files = globSync(resolve(folder, "src/**/*.ts")).toSorted();
const { mutations, problems } = mutationsOf(
  files.filter(
    (file) => !isTest(file) && !isHelper(file) && (only.length === 0 || only.includes(file)),
  ),
);
if (mutations.length === 0)
  throw new Error(`nothing to take out in ${[folder, ...only].join(", ")}`);

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop.abort());
const work = mkdtempSync(join(tmpdir(), "redoubt-mutate-"));
try {
  const runs = await TestRuns.record(files.filter(isTest), {
    folder: resolve(folder, "src"),
    work,
    workers,
    slackMs: Number(values.slack),
    stop: stop.signal,
  });
  report(await everyOutcome(runs));
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function everyOutcome(runs: TestRuns): Promise<readonly Result[]> {
  const results: Result[] = [];
  const queue = mutations.values();
  async function runEach(): Promise<void> {
    for (const mutation of queue) {
      const outcome = mutation.skip === undefined ? await runs.outcomeOf(mutation) : "skipped";
      results.push({ ...mutation, outcome });
      if (outcome === "survived") console.error(textOf(mutation));
      else if (results.length % 50 === 0) console.error(`${results.length}/${mutations.length}`);
    }
  }
  await Promise.all(Array.from({ length: workers }, runEach));
  return results.toSorted((a, b) => a.file.localeCompare(b.file) || a.start - b.start);
}

function textOf({ file, line, found, replacement }: Mutation): string {
  return `${relative("", file)}:${line}: \`${found}\` as \`${replacement}\``;
}

function report(results: readonly Result[]): void {
  const of = (outcome: Result["outcome"]): readonly Result[] =>
    results.filter((result) => result.outcome === outcome);
  if (values.json) console.log(JSON.stringify({ results, problems }, undefined, 2));
  else {
    for (const result of of("skipped")) console.log(`skipped ${textOf(result)}: ${result.skip}`);
    for (const result of of("survived")) console.log(`survived ${textOf(result)}`);
    for (const problem of problems) console.log(problem);
    console.log(
      `${results.length} mutations, ${of("killed").length} killed, ${of("survived").length} survived, ` +
        `${of("timed out").length} timed out, ${of("skipped").length} skipped`,
    );
  }
  if (of("survived").length > 0 || problems.length > 0) process.exitCode = 1;
}

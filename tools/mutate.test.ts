import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";

// The § is one UTF-16 unit and two bytes: positions are counted in units.
const SOURCE = `// RFC 0000 §1
export function parseAge(text: string): number {
  if (text === "" || text.length > 3) throw new Error("length");
  const age = Number(text);
  if (Number.isNaN(age)) {
    throw new Error("number");
  }
  return age;
}
`;

const TESTS = `import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAge } from "./age.ts";
test("age", () => {
  assert.equal(parseAge("7"), 7);
  assert.throws(() => parseAge(""), /length/);
  assert.throws(() => parseAge("1000"), /length/);
});
`;

function fixture(t: TestContext, source: string): string {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-mutate-test-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "src"));
  writeFileSync(join(folder, "src/age.ts"), source);
  writeFileSync(join(folder, "src/age.test.ts"), TESTS);
  return folder;
}

function mutate(
  folder: string,
  ...options: string[]
): Promise<{ status: number | null; output: string }> {
  const args = ["tools/mutate.ts", folder, "--workers", "1", ...options];
  return new Promise((done) => {
    const child = execFile(process.execPath, args, (_error, output, errors) =>
      done({ status: child.exitCode, output: output === "" ? errors : output }),
    );
  });
}

const missing = `test("not a number", () => assert.throws(() => parseAge("x"), /number/));\n`;

test("a check that no test misses fails the run and is named, until a test misses it", async (t) => {
  const folder = fixture(t, SOURCE);
  const before = await mutate(folder);
  assert.equal(before.status, 1, before.output);
  assert.match(before.output, /age\.ts:5: `Number\.isNaN\(age\)` as `false`$/m);
  assert.match(before.output, /^4 mutations, 3 killed, 1 survived, 0 timed out, 0 skipped$/m);

  appendFileSync(join(folder, "src/age.test.ts"), missing);
  const after = await mutate(folder);
  assert.equal(after.status, 0, after.output);
  assert.match(after.output, /^4 mutations, 4 killed, 0 survived, 0 timed out, 0 skipped$/m);
});

test("a skip of one mutation is listed with its reason; one without a reason, or with nothing to skip, fails", async (t) => {
  const guard = "  if (Number.isNaN(age))";
  const skipped = await mutate(
    fixture(t, SOURCE.replace(guard, `  // mutate: a reason\n${guard}`)),
  );
  assert.equal(skipped.status, 0, skipped.output);
  assert.match(skipped.output, /^skipped .*age\.ts:6: .*: a reason$/m);
  assert.match(skipped.output, / 0 survived, 0 timed out, 1 skipped$/m);

  const operands = SOURCE.replace(/( {2}if \(text === "")/, "  // mutate: a reason\n$1");
  const other = await mutate(fixture(t, operands));
  assert.match(other.output, /^4 mutations, 2 killed, 1 survived, 0 timed out, 1 skipped$/m);

  const bare = await mutate(fixture(t, SOURCE.replace(guard, `  // mutate:\n${guard}`)));
  assert.equal(bare.status, 1, bare.output);
  assert.match(bare.output, /age\.ts:5: a skip without a reason$/m);

  const stale = await mutate(fixture(t, `${SOURCE}// mutate: gone\n`));
  assert.equal(stale.status, 1, stale.output);
  assert.match(stale.output, /age\.ts:10: a skip that skips nothing$/m);
});

test("a mutation that hangs counts as timed out, not as survived", async (t) => {
  const source = SOURCE.replace(
    "  return age;",
    "  for (let n = 0; ; n++) if (n > age) return age;",
  );
  const folder = fixture(t, source);
  const { output } = await mutate(folder, "--json", "--slack", "500");
  const { results } = JSON.parse(output);
  const outcome = results.find(({ found }: { found: string }) => found === "n > age")?.outcome;
  assert.equal(outcome, "timed out");
});

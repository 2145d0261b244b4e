import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { describe, it } from "node:test";
import { judge, runConformance } from "./conformance.ts";
import { readCorpus } from "./corpus.ts";
import type { VerifierCommand } from "./verifier-process.ts";

const ROOT = resolve(import.meta.dirname, "../../../..");
const CORPUS = readCorpus();
const VALID = CORPUS.cases.filter(({ isValid }) => isValid);
const INVALID = CORPUS.cases.filter(({ isValid }) => !isValid);

function verifier(command: string, ...args: readonly string[]): VerifierCommand {
  return { command, args, cwd: ROOT, timeoutMs: 20_000, stderr: "ignore" };
}

/** A verifier that answers each question with the value of this expression. */
function answering(expression: string, changes: Partial<VerifierCommand> = {}): VerifierCommand {
  const script = `
    const lines = require("node:readline").createInterface({ input: process.stdin });
    const say = (answer) => console.log(JSON.stringify(answer));
    lines.on("line", (line) => { const question = JSON.parse(line); const { id } = question; ${expression}; });`;
  return { ...verifier(process.execPath, "--eval", script), ...changes };
}

async function ask(command: VerifierCommand, skip: readonly string[] = []) {
  const { report, exitCode, text } = await judge(command, skip);
  const { total } = report;
  const unanswered = total.crashed + total["timed-out"] + total.malformed;
  const counts = [
    total.right,
    total["accepted-though-invalid"],
    total["refused-though-valid"],
    unanswered,
  ];
  return { report, exitCode, text, counts };
}

function classIn(report: Awaited<ReturnType<typeof ask>>["report"], name: string) {
  return report.classes.find((one) => one.name === name)?.counts ?? assert.fail(name);
}

describe("conformance", () => {
  it("a perfect verifier: all right, exit code 0", async () => {
    const ids = JSON.stringify(VALID.map(({ id }) => id));
    const perfect = answering(`say({ id, accepted: ${ids}.includes(id) })`);
    const { counts, exitCode, report } = await ask(perfect);
    assert.deepEqual(counts, [CORPUS.cases.length, 0, 0, 0]);
    assert.deepEqual([exitCode, report.wrong], [0, []]);
  });

  it("one that accepts everything: each invalid token is counted in its class, exit code 3", async () => {
    const { counts, exitCode, report, text } = await ask(answering("say({ id, accepted: true })"));
    assert.deepEqual(counts, [VALID.length, INVALID.length, 0, 0]);
    assert.equal(exitCode, 3);
    assert.equal(classIn(report, "key-realm")["accepted-though-invalid"], 7);
    assert.match(text, /1 x {2}key-realm +accepted-though-invalid +scope: consumer key/);
    assert.match(text, /4 x {2}binding /);
  });

  it("one accepted token is enough for exit code 3", async () => {
    const [one] = INVALID;
    const { counts, exitCode } = await ask(answering(`say({ id, accepted: id === ${one?.id} })`));
    assert.deepEqual([counts[1], exitCode], [1, 3]);
  });

  it("one that refuses everything: no wrong accept, but exit code 2", async () => {
    const refusing = answering('say({ id, accepted: false, error: "no\\u001b[2J" })');
    const { counts, exitCode, report } = await ask(refusing);
    assert.deepEqual(counts, [INVALID.length, 0, VALID.length, 0]);
    assert.deepEqual([exitCode, report.wrong[0]?.error], [2, "no?[2J"]);
  });

  it("one that crashes: each crash is a result, and after 20 in a row nothing more is asked", async () => {
    const { report, exitCode, counts } = await ask(answering("process.exit(7)"));
    assert.deepEqual([report.total.crashed, counts[0], exitCode], [20, 0, 2]);
    assert.equal(report.total["not-asked"], CORPUS.cases.length - 20);
    assert.equal(report.wrong[0]?.error, "exit code 7");
  });

  it("one that crashes at some cases is started again for the others", async () => {
    const crashing = answering(
      "if (id % 50 === 0) process.abort(); else say({ id, accepted: false })",
    );
    const { report } = await ask(crashing);
    assert.equal(report.total.crashed, Math.floor(CORPUS.cases.length / 50));
    assert.equal(report.total["not-asked"], 0);
    assert.equal(report.wrong.find(({ verdict }) => verdict === "crashed")?.error, "SIGABRT");
  });

  it("one that hangs is stopped in time", async () => {
    const { report, exitCode } = await ask(answering("void 0", { timeoutMs: 100 }));
    assert.deepEqual([report.total["timed-out"], exitCode], [20, 2]);
  });

  const garbage = [
    ["no JSON", "console.log('yes')"],
    ["a string for true", "say({ id, accepted: 'true' })"],
    ["no verdict", "say({ id })"],
    ["another id", "say({ id: id + 1, accepted: false })"],
    ["an id as text", "say({ id: String(id), accepted: false })"],
    ["a member twice", 'console.log(`{"id":${id},"accepted":false,"accepted":true}`)'],
    ["an endless line", "process.stdout.write('x'.repeat(100000))"],
  ] as const;
  for (const [what, expression] of garbage)
    it(`garbage is a result of its own: ${what}`, async () => {
      const corpus = { ...CORPUS, cases: CORPUS.cases.slice(0, 2) };
      const results = await runConformance(corpus, answering(expression));
      assert.deepEqual(
        results.map(({ verdict }) => verdict),
        ["malformed", "malformed"],
      );
    });

  it("an answer too many is not taken for the next case's", async () => {
    const corpus = { ...CORPUS, cases: CORPUS.cases.slice(0, 2) };
    const twice = answering("say({ id, accepted: true }); say({ id, accepted: true })");
    const verdicts = (await runConformance(corpus, twice)).map(({ verdict }) => verdict);
    assert.deepEqual(verdicts, ["right", "malformed"]);
  });

  it("a command that is not there is an error, not a result", async () => {
    await assert.rejects(judge(verifier("/nonexistent/verifier")), {
      code: "ERR_VERIFIER_COMMAND",
    });
  });

  it("leaves out classes, by name or by what they need", async () => {
    const yes = answering("say({ id, accepted: true })");
    const { report } = await ask(yes, ["key-scope", "typ"]);
    for (const { name, needs, counts } of report.classes)
      assert.equal(
        counts.right + counts["accepted-though-invalid"] === 0,
        needs === "key-scope" || name === "typ",
        name,
      );
    await assert.rejects(judge(yes, ["unheard-of"]), { code: "ERR_CORPUS_CLASS" });
  });

  it("a question holds what any verifier needs, and the scope apart", () => {
    const question: Record<string, unknown> = JSON.parse(CORPUS.cases[0]?.question ?? "");
    assert.deepEqual(Object.keys(question).toSorted(), [
      "algorithms",
      "audience",
      "clockToleranceSeconds",
      "id",
      "issuer",
      "keys",
      "maxTokenLength",
      "now",
      "scope",
      "token",
      "typ",
    ]);
  });
});

describe("examples/conformance", () => {
  it("@redoubt/verify: all right", async () => {
    const { counts, exitCode } = await ask(
      verifier(process.execPath, "examples/conformance/redoubt.mjs"),
    );
    assert.deepEqual([counts, exitCode], [[CORPUS.cases.length, 0, 0, 0], 0]);
  });

  it("jose: right in all that needs neither a stricter profile nor key scope", async () => {
    const jose = verifier(process.execPath, "examples/conformance/jose.mjs");
    const { counts, exitCode, report } = await ask(jose, ["strict-profile", "key-scope"]);
    assert.deepEqual([counts.slice(1), exitCode], [[0, 0, 0], 0]);
    assert.equal(report.total.right + report.total["not-asked"], CORPUS.cases.length);
    // What the scope of a key is for: no option of a verifier without it refuses these.
    const { report: scoped } = await ask(jose, ["strict-profile"]);
    assert.equal(classIn(scoped, "key-realm")["accepted-though-invalid"], 7);
  });

  const python = process.env.REDOUBT_PYTHON ?? "python3";
  const hasPyjwt = spawnSync(python, ["-c", "import jwt, cryptography"]).status === 0;
  // CI has no PyJWT and lets nothing be skipped: there it is left out.
  if (hasPyjwt || process.env.REDOUBT_NO_SKIP !== "1")
    it("PyJWT: answers every case", { skip: !hasPyjwt && "PyJWT is not installed" }, async () => {
      const { counts, report } = await ask(verifier(python, "examples/conformance/pyjwt.py"));
      assert.equal(counts[3], 0);
      assert.equal(classIn(report, "signature").right, 26);
      assert.equal(classIn(report, "key-realm")["accepted-though-invalid"], 7);
    });
});

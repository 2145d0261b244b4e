import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { text } from "node:stream/consumers";

const root = mkdtempSync(join(tmpdir(), "redoubt-service-"));
after(() => rmSync(root, { recursive: true }));
let next = 0;

/** Starts a process that runs the service whose `open` is this source text. */
function start(open: string): { child: ChildProcess; outcome: Promise<Outcome> } {
  next += 1;
  const main = join(root, `${next}.mjs`);
  const index = JSON.stringify(new URL("service.ts", import.meta.url).href);
  writeFileSync(
    main,
    `import { runService } from ${index};\nawait runService("test", { closed: "operation" }, ${open});\n`,
  );
  const child = fork(main, { stdio: ["ignore", "pipe", "pipe", "ipc"], execArgv: [] });
  return { child, outcome: outcomeOf(child) };
}

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  assert.ok(child.stdout && child.stderr);
  const [stdout, stderr] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    child.exitCode === null ? once(child, "exit") : undefined,
  ]);
  return { code: child.exitCode, stdout, stderr };
}

async function message(child: ChildProcess): Promise<unknown> {
  const [received]: unknown[] = await once(child, "message");
  return received;
}

const SERVICE = `async ({ sink }) => ({
  status: () => ({ fine: true }),
  [Symbol.asyncDispose]: async () => sink("closed"),
})`;

describe("runService", () => {
  it("says that it is ready, answers status, and closes when the channel ends", async () => {
    const { child, outcome } = start(SERVICE);
    assert.deepEqual(await message(child), { type: "ready" });
    child.send({ type: "other" });
    child.send({ type: "status", id: 7 });
    assert.deepEqual(await message(child), { type: "status", id: 7, status: { fine: true } });
    child.disconnect();
    const { code, stdout, stderr } = await outcome;
    assert.equal(code, 0);
    assert.equal(stderr, "");
    assert.match(stdout, /"event":"ready".*\n.*"event":"stopping".*\n.*"event":"closed"/);
  });

  it("answers metrics as text: its own, and those of every process, with the number of each event", async () => {
    const { child, outcome } = start(`async ({ sink }) => {
      for (let i = 0; i < 103; i += 1) sink("closed");
      return {
        status: () => ({}),
        metrics: () => [{ name: "redoubt_own", value: 5 }],
        [Symbol.asyncDispose]: async () => undefined,
      };
    }`);
    await message(child);
    child.send({ type: "metrics", id: 8 });
    const answer = await message(child);
    child.disconnect();
    await outcome;
    assert.ok(typeof answer === "object" && answer !== null && "metrics" in answer);
    assert.ok("type" in answer && "id" in answer && typeof answer.metrics === "string");
    assert.deepEqual([answer.type, answer.id], ["metrics", 8]);
    for (const sample of [
      '{"name":"redoubt_own","value":5}',
      '{"name":"redoubt_events_total","label":"closed","value":103}',
      '{"name":"redoubt_events_left_out_total","value":3}',
    ])
      assert.ok(answer.metrics.includes(sample), answer.metrics);
    for (const name of ["uptime_seconds", "resident_memory_bytes", "event_loop_busy_seconds_total"])
      assert.match(answer.metrics, new RegExp(`"redoubt_process_${name}","value":[0-9.]*[1-9]`));
  });

  it("outlives SIGINT and closes on SIGTERM", async () => {
    const { child, outcome } = start(SERVICE);
    await message(child);
    child.kill("SIGINT");
    child.send({ type: "status", id: 1 });
    await message(child);
    child.kill("SIGTERM");
    const { code, stdout } = await outcome;
    assert.equal(code, 0);
    assert.match(stdout, /"event":"closed"/);
  });

  const failing = [
    ["does not open", `async () => { throw new Error("no\\nfile"); }`],
    [
      "fails later",
      `async () => ({ failed: Promise.reject(new Error("no\\nfile")), status: () => ({}), [Symbol.asyncDispose]: async () => {} })`,
    ],
    [
      "never becomes ready",
      `async () => ({ ready: Promise.reject(new Error("no\\nfile")), status: () => ({}), [Symbol.asyncDispose]: async () => {} })`,
    ],
    [
      "does not close",
      `async () => ({ ready: new Promise(() => {}), failed: Promise.resolve(), status: () => ({}), [Symbol.asyncDispose]: async () => { throw new Error("no\\nfile"); } })`,
    ],
  ] as const;
  for (const [what, open] of failing)
    it(`says why and exits with 1 when it ${what}`, async () => {
      const { code, stdout, stderr } = await start(open).outcome;
      assert.equal(code, 1);
      assert.equal(stderr, "test: no file\n");
      assert.match(stdout, /"event":"stopped_by_error","code":"ERR_UNEXPECTED"/);
    });

  it("answers a failing status with its code", async () => {
    const { child, outcome } = start(`async () => ({
      status: () => { throw Object.assign(new Error("x"), { code: "ERR_TEST" }); },
      [Symbol.asyncDispose]: async () => {},
    })`);
    await message(child);
    child.send({ type: "status", id: "a" });
    assert.deepEqual(await message(child), { type: "status", id: "a", error: "ERR_TEST" });
    child.disconnect();
    assert.equal((await outcome).code, 0);
  });
});

import assert from "node:assert/strict";
import { spawnSync, type ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CompactRange, entryBundlePath, tilePath } from "@redoubt/tlog";
import type { SocketClient } from "@redoubt/wire";
import { splitEntries } from "./entries.ts";
import { startLedger } from "./testing/child.ts";
import { CONSUMER, createDeployment, refusalOf, type Deployment } from "./testing/deployment.ts";
import { randomEntries } from "./testing/writer.ts";

const NO_STRACE = spawnSync("strace", ["-V"]).status === 0 ? false : "strace is not installed";
const TRACED = "trace=read,readv,recvmsg,recvfrom,write,writev,sendmsg,sendto,fsync,fdatasync";
/** The socket of one caller, as strace names both ends of what the process reads and writes. */
const SIGNER_SOCKET = "ledger/s/signer-consumer/sock";

const commitOne = (deployment: Deployment, signer: SocketClient): Promise<unknown> => {
  const { head, attachment } = deployment.consumer.next(randomEntries(1));
  return signer.request(head, attachment);
};

/** Runs a ledger under strace, commits one batch after another, and gives the system calls. */
async function traceCommits(
  deployment: Deployment,
  main: string,
  commits: number,
): Promise<string[]> {
  const file = join(deployment.root, "trace");
  const prefix = ["strace", "-f", "-qq", "-yy", "-s", "0", "-e", TRACED, "-o", file];
  const child = startLedger(deployment, { main, prefix });
  await child.ready;
  {
    await using signer = deployment.connect("signer-consumer");
    for (let i = 0; i < commits; i++) await commitOne(deployment, signer);
  }
  child.process.disconnect();
  assert.deepEqual(await child.ended, { code: 0, signal: null }, child.output());
  return readFileSync(file, "utf8").split("\n");
}

/** How many answers went out, and how many of them without a sync of the log since the request came in. */
function countAnswers(calls: readonly string[]): { answers: number; unsynced: number } {
  let [answers, unsynced, isSynced] = [-1, 0, true];
  for (const call of calls) {
    if (/f(?:data)?sync\(\d+<[^>]*ledger\.db-wal>\)\s+= 0/.test(call)) isSynced = true;
    if (!call.includes(SIGNER_SOCKET)) continue;
    if (/ (?:read|readv|recvmsg|recvfrom)\(/.test(call)) isSynced = false;
    if (!/ (?:write|writev|sendmsg|sendto)\(/.test(call)) continue;
    // The first answer is the greeting.
    answers += 1;
    if (answers > 0 && !isSynced) unsynced += 1;
  }
  return { answers, unsynced };
}

test("THREAT-05: a ledger and its disk, seen from outside", { skip: NO_STRACE }, async (t) => {
  await using deployment = await createDeployment();
  await t.test("each acknowledgement comes after a sync of its data", async () => {
    const calls = await traceCommits(deployment, "main.ts", 12);
    assert.deepEqual(countAnswers(calls), { answers: 12, unsynced: 0 });
  });
  await t.test("a disk that is full for a while refuses, then takes the same batch", async () => {
    const wal = join(deployment.root, "ledger", "ledger.db-wal");
    const inject = "inject=pwrite64:error=ENOSPC:when=1..2";
    const trace = ["-o", "/dev/null", "-P", wal, "-e", "trace=pwrite64", "-e", inject];
    const child = startLedger(deployment, { prefix: ["strace", "-f", "-qq", ...trace] });
    await child.ready;
    await using signer = deployment.connect("signer-consumer");
    const { head, attachment } = deployment.consumer.next(randomEntries(1));
    const codes: string[] = [];
    for (let i = 0; i < 3; i++) codes.push(await refusalOf(signer.request(head, attachment)));
    assert.deepEqual(codes, ["ERR_LEDGER_FULL", "ERR_LEDGER_FULL", "no refusal"]);
    child.process.disconnect();
    assert.equal((await child.ended).code, 0, child.output());
  });
  await t.test("a sync that fails acknowledges nothing and ends the process", async () => {
    const syncs = await countStartSyncs(deployment);
    const inject = `inject=fsync,fdatasync:error=EIO:when=${syncs + 1}+`;
    const trace = ["-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject];
    const child = startLedger(deployment, { prefix: ["strace", "-f", "-qq", ...trace] });
    await child.ready;
    await using signer = deployment.connect("signer-consumer");
    await using other = deployment.connect("signer-enterprise");
    const { head, attachment } = deployment.enterprise.next();
    const results = await Promise.all([
      refusalOf(commitOne(deployment, signer)),
      refusalOf(commitOne(deployment, signer)),
      refusalOf(other.request(head, attachment)),
    ]);
    for (const result of results)
      assert.ok(["ERR_LEDGER_IO", "ERR_WIRE_CLOSED"].includes(result), result);
    assert.equal((await child.ended).code, 1, child.output());
    assert.match(child.output(), /"storage_failed".*"isFatal":true/);
  });
  await t.test("what was acknowledged is there at the next start", async () => {
    await deployment.open();
    await using signer = deployment.connect("signer-consumer");
    const { head } = await signer.request({ op: "state", log: CONSUMER });
    // What was refused may be there or not, but whole and in order.
    assert.ok([13, 14, 15].includes(Number(head.size)), JSON.stringify(head));
  });
});

test(
  "THREAT-05: the same test fails for a ledger that does not sync",
  { skip: NO_STRACE },
  async () => {
    await using deployment = await createDeployment();
    const calls = await traceCommits(deployment, "testing/unsynced-main.ts", 5);
    assert.deepEqual(countAnswers(calls), { answers: 5, unsynced: 5 });
  },
);

test(
  "full tiles and bundles are synced before the audit's mark says so",
  { skip: NO_STRACE },
  async () => {
    await using deployment = await createDeployment();
    {
      await using ledger = await deployment.open();
      await using signer = deployment.connect("signer-consumer");
      const { head, attachment } = deployment.consumer.next(randomEntries(600));
      await signer.request(head, attachment);
      await ledger.publish();
    }
    rmSync(join(deployment.folder, "published"), { recursive: true });
    mkdirSync(join(deployment.folder, "published"));
    const file = join(deployment.root, "trace");
    const calls = "trace=openat,pwrite64";
    const prefix = ["strace", "-f", "-qq", "-y", "-s", "4000", "-e", calls, "-o", file];
    const child = startLedger(deployment, { prefix });
    await child.ready;
    while (!child.output().includes('"audited"')) await new Promise((r) => setImmediate(r));
    child.process.disconnect();
    assert.equal((await child.ended).code, 0, child.output());
    const trace = readFileSync(file, "utf8").split("\n");
    const mark = trace.findIndex((call) => call.includes("redoubt audit mark v1"));
    const synced = trace
      .slice(0, mark)
      .filter((call) => /O_WRONLY\|O_(?:SYNC\|O_NOFOLLOW|NOFOLLOW\|O_SYNC)/.test(call))
      .flatMap((call) => /tile\/[^"]+/.exec(call)?.slice(0, 1) ?? []);
    const full = [tilePath(0, 0), tilePath(0, 1), entryBundlePath(0), entryBundlePath(1)];
    assert.deepEqual(synced.toSorted(), full.toSorted());
  },
);

/** How often the next start of an existing ledger syncs before it is ready. */
async function countStartSyncs(deployment: Deployment): Promise<number> {
  const calls = await traceCommits(deployment, "main.ts", 0);
  // Ready goes out over the IPC channel, file descriptor 3.
  const ready = calls.findIndex((call) => call.includes(" write(3<UNIX-STREAM"));
  assert.ok(ready > 0);
  return calls.slice(0, ready).filter((call) => /f(?:data)?sync\(/.test(call)).length;
}

test("THREAT-05: kill -9 under load loses nothing that was acknowledged", async () => {
  await using deployment = await createDeployment();
  const { consumer } = deployment;
  const acknowledged: Buffer[] = [];
  for (let round = 0; round < 3; round++) {
    const known = acknowledged.length;
    const child = startLedger(deployment);
    await child.ready;
    await using signer = deployment.connect("signer-consumer");
    const entries = await readAll(signer);
    assert.deepEqual(entries.slice(0, known), acknowledged);
    // The writer goes on from what is durable, as a signer does whose last batches were not answered.
    consumer.range = CompactRange.empty();
    consumer.range.appendEntries(entries);
    acknowledged.splice(0, Infinity, ...entries);
    acknowledged.push(...(await loadUntilKilled(deployment, signer, child.process)));
    assert.equal((await child.ended).signal, "SIGKILL");
    assert.ok(acknowledged.length >= known + 20);
  }
  await deployment.open();
  await using signer = deployment.connect("signer-consumer");
  assert.deepEqual((await readAll(signer)).slice(0, acknowledged.length), acknowledged);
});

async function readAll(signer: SocketClient): Promise<Buffer[]> {
  const ask = { op: "entries", log: CONSUMER, from: 0, max: 4096 };
  const { attachment } = await signer.request(ask);
  return attachment.length === 0
    ? []
    : splitEntries(attachment, attachment.length / 67, "issuance");
}

/** Keeps 16 batches under way, kills the process after 20 answers, and gives the entries that were acknowledged. */
async function loadUntilKilled(
  { consumer }: Deployment,
  signer: SocketClient,
  child: ChildProcess,
): Promise<Buffer[]> {
  const acknowledged: Buffer[] = [];
  let answers = 0;
  const send = async (): Promise<void> => {
    while (!child.killed) {
      const { head, attachment, entries } = consumer.next(randomEntries(3));
      await signer.request(head, attachment);
      acknowledged.push(...entries);
      answers += 1;
      if (answers === 20) child.kill("SIGKILL");
    }
  };
  await Promise.allSettled(Array.from({ length: 16 }, send));
  return acknowledged;
}

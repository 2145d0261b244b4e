import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { createServer, type Server } from "node:http";
import { test } from "node:test";
import {
  encodeCheckpoint,
  hashLeaf,
  openCheckpoint,
  signNote,
  verifyCosignature,
} from "@redoubt/tlog";
import type { SocketClient } from "@redoubt/wire";
import {
  CONSUMER,
  createDeployment,
  REGISTRY,
  type Deployment,
  textOf,
} from "./testing/deployment.ts";
import { openLogKey } from "./log-key.ts";
import { TestWitness } from "./testing/witness.ts";
import { randomEntries, TestWriter } from "./testing/writer.ts";
import { WitnessClient, type WitnessTransport } from "./witness-client.ts";

const FAST = { publishDelayMs: 1, witnessTiming: { intervalMs: 1, refreshMs: 5 } };

/** Answers everything in this way, and has no checkpoint to show. */
const sayAlways = (status: number, body: string): WitnessTransport => ({
  send: async () => ({ status, body }),
  newest: async () => ({ status: 404, body: "" }),
});

async function commit(deployment: Deployment, signer: SocketClient) {
  const { head, attachment } = deployment.consumer.next(randomEntries(1));
  return (await signer.request(head, attachment)).head;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test("cosignatures reach state, and each commit answer that has not had it", async () => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open({ publishDelayMs: 1 });
  await using signer = deployment.connect("signer-consumer");
  assert.equal((await commit(deployment, signer)).cosigned, undefined);
  const log = ledger.logs.get(CONSUMER);
  await until(() => log?.cosigned?.size === 1);
  const { head } = await signer.request({ op: "state", log: CONSUMER });
  const verifiers = [...deployment.verifiers(CONSUMER), deployment.witness.key];
  const opened = openCheckpoint(textOf(head.cosigned), { origin: CONSUMER, verifiers });
  assert.deepEqual([opened.size, opened.verified.length], [1, 3]);
  assert.equal((await commit(deployment, signer)).cosigned, head.cosigned);
  assert.equal((await commit(deployment, signer)).cosigned, undefined);
});

test("an unchanged checkpoint is cosigned again and again", async () => {
  await using deployment = await createDeployment();
  await deployment.open(FAST);
  await using signer = deployment.connect("signer-consumer");
  await commit(deployment, signer);
  await until(() => deployment.witness.answers.length >= 4);
  assert.deepEqual(new Set(deployment.witness.answers), new Set([200]));
  assert.equal(deployment.witness.held.get(CONSUMER)?.size, 1);
});

test("THREAT-05: without its witness the log goes on, says so at 60 s, and says when it is back", async () => {
  await using deployment = await createDeployment();
  let milliseconds = 1_000_000;
  const clock = { now: () => Date.now(), monotonic: () => milliseconds };
  deployment.witness.isDown = true;
  await using ledger = await deployment.open({ ...FAST, clock });
  await using signer = deployment.connect("signer-consumer");
  await commit(deployment, signer);
  await deployment.event("witness_failed");
  milliseconds += 59_000;
  const failures = deployment.eventsNamed("witness_failed").length;
  await until(() => deployment.eventsNamed("witness_failed").length > failures + 1);
  assert.equal(deployment.eventsNamed("witness_late").length, 0);
  milliseconds += 2000;
  const late = await deployment.event("witness_late");
  assert.deepEqual(late.fields, { log: CONSUMER, seconds: 61 });
  assert.equal((await commit(deployment, signer)).size, 2);
  deployment.witness.isDown = false;
  await deployment.event("witness_back");
  assert.equal(deployment.eventsNamed("witness_late").length, 1);
  assert.ok((ledger.logs.get(CONSUMER)?.cosigned?.size ?? 0) > 0);
});

test("a witness that fell behind gets the proof from where it is", async () => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open(FAST);
  await using signer = deployment.connect("signer-consumer");
  await commit(deployment, signer);
  const log = ledger.logs.get(CONSUMER);
  await until(() => log?.cosigned?.size === 1);
  const early = deployment.witness.held.get(CONSUMER);
  assert.ok(early);
  await commit(deployment, signer);
  await until(() => log?.cosigned?.size === 2);
  deployment.witness.held.set(CONSUMER, early);
  await until(() => deployment.witness.held.get(CONSUMER)?.size === 2);
  assert.ok(deployment.witness.answers.includes(409));
  assert.equal(log?.halted, undefined);
});

test("THREAT-37: a cosignature dated ahead is refused, not kept, said once; the next good one is taken", async () => {
  await using deployment = await createDeployment();
  await using ledger = await deployment.open(FAST);
  await using signer = deployment.connect("signer-consumer");
  await commit(deployment, signer);
  const log = ledger.logs.get(CONSUMER);
  await until(() => log?.cosigned?.size === 1);
  deployment.witnessAheadSeconds = 3600;
  await commit(deployment, signer);
  const { fields } = await deployment.event("cosignature_ahead");
  assert.equal(fields.log, CONSUMER);
  assert.ok(Math.abs(Number(fields.cosigned) - Number(fields.now) - 3600) <= 1);
  const answers = deployment.witness.answers.length;
  await until(() => deployment.witness.answers.length > answers + 3);
  assert.equal(log?.cosigned?.size, 1);
  assert.ok((log?.cosigned?.timeSeconds ?? Infinity) <= Date.now() / 1000);
  assert.equal((await commit(deployment, signer)).size, 3);
  assert.equal(deployment.eventsNamed("cosignature_ahead").length, 1);
  deployment.witnessAheadSeconds = 0;
  await until(() => log?.cosigned?.size === 3);
  assert.equal(deployment.eventsNamed("witness_failed").length, 0);
});

test("THREAT-37: a stored cosignature that lies ahead of the clock is not used at a start", async () => {
  await using deployment = await createDeployment();
  const early = { now: () => Date.now() - 3_600_000, monotonic: () => performance.now() };
  {
    await using ledger = await deployment.open(FAST);
    await using signer = deployment.connect("signer-consumer");
    await commit(deployment, signer);
    await until(() => ledger.logs.get(CONSUMER)?.cosigned?.size === 1);
  }
  deployment.witness.isDown = true;
  await using ledger = await deployment.open({ ...FAST, clock: early });
  assert.equal(ledger.logs.get(CONSUMER)?.cosigned, undefined);
  assert.equal(ledger.logs.get(CONSUMER)?.halted, undefined);
  assert.equal(deployment.eventsNamed("cosignature_ahead").length, 1);
  deployment.witnessAheadSeconds = -3600;
  deployment.witness.isDown = false;
  await until(() => ledger.logs.get(CONSUMER)?.cosigned?.size === 1);
});

test("THREAT-37: a clock that is the witness's too jumps ahead and back: what was kept of it gives way to the next good one", async () => {
  await using deployment = await createDeployment();
  let jumpSeconds = 0;
  const clock = {
    now: () => Date.now() + jumpSeconds * 1000,
    monotonic: () => performance.now(),
  };
  const jump = (seconds: number): void => {
    jumpSeconds = seconds;
    deployment.witnessAheadSeconds = seconds;
  };
  await using ledger = await deployment.open({ ...FAST, clock });
  await using signer = deployment.connect("signer-consumer");
  const log = ledger.logs.get(CONSUMER);
  const isAhead = (): boolean => (log?.cosigned?.timeSeconds ?? 0) > Date.now() / 1000 + 3000;
  await commit(deployment, signer);
  jump(3600);
  await until(isAhead);
  const { cosigned: early } = await commit(deployment, signer);
  assert.ok(timeOf(early, deployment) > Date.now() / 1000 + 3000);
  await until(() => log?.cosigned?.size === 2 && isAhead());
  jump(0);
  const answers = deployment.witness.answers.length;
  await until(() => deployment.witness.answers.length > answers + 3);
  assert.deepEqual([log?.cosigned?.size, isAhead()], [2, false]);
  // A writer is told of it with its next commit.
  const { cosigned } = await commit(deployment, signer);
  assert.ok(timeOf(cosigned, deployment) <= Date.now() / 1000);
});

function timeOf(note: unknown, { witness }: Deployment): number {
  return verifyCosignature(textOf(note), witness.key).timeSeconds;
}

test("only the pinned witness's cosignature is kept", async () => {
  await using deployment = await createDeployment();
  const impostor = new TestWitness(
    () => 2_000_000_000,
    (origin) => deployment.verifiers(origin),
  );
  await using ledger = await deployment.open({ ...FAST, witness: impostor });
  await using signer = deployment.connect("signer-consumer");
  await commit(deployment, signer);
  const failed = await deployment.event("witness_failed");
  assert.equal(failed.fields.code, "ERR_TLOG_NOTE_UNKNOWN_KEY");
  assert.equal(ledger.logs.get(CONSUMER)?.cosigned, undefined);
});

test("answers that are no cosignature change nothing", async (t) => {
  const answers: Readonly<Record<string, readonly [number, string, string]>> = {
    "an empty 200": [200, "", "witness_failed"],
    "text that is no signature line": [200, "hello\n", "witness_failed"],
    "a 409 that names no size": [409, "many\n", "witness_failed"],
    "a 409 that contradicts itself": [409, "0\n", "witness_refused"],
    "a 409 that claims more than the log has": [409, "7\n", "witness_refused"],
    "a 409 at the size that was sent": [409, "1\n", "witness_refused"],
    "a 422": [422, "", "witness_refused"],
    "a 403": [403, "", "witness_refused"],
    "a 500": [500, "x".repeat(1000), "witness_refused"],
  };
  for (const [name, [status, body, event]] of Object.entries(answers))
    await t.test(name, async () => {
      await using deployment = await createDeployment();
      const send = sayAlways(status, body);
      await using ledger = await deployment.open({ ...FAST, witness: send });
      await using signer = deployment.connect("signer-consumer");
      await commit(deployment, signer);
      await deployment.event(event);
      assert.equal(ledger.logs.get(CONSUMER)?.cosigned, undefined);
      assert.equal(ledger.logs.get(REGISTRY)?.halted, undefined);
    });
});

type Signers = "both" | "log" | "writer" | "strangers";

/** A checkpoint as somebody with these keys could have made it. */
function noteBy(deployment: Deployment, size: number, root: Buffer, by: Signers): string {
  const body = encodeCheckpoint({ origin: CONSUMER, size, root });
  const log = openLogKey(deployment.folder, CONSUMER).signer;
  const writer = deployment.consumer.signer;
  const stranger = new TestWriter(CONSUMER).signer;
  const signers = { both: [log, writer], log: [log], writer: [writer], strangers: [stranger] };
  return signNote(body, signers[by]);
}

/** One batch of two entries, and a witness that refuses everything and shows `note` as its newest. */
async function refusedWith(
  status: number,
  note: (deployment: Deployment) => string,
  check: (deployment: Deployment, halted: () => string | undefined) => Promise<void>,
): Promise<void> {
  await using deployment = await createDeployment();
  let shown = "";
  const says = sayAlways(status, status === 409 ? "7\n" : "");
  const witness = { ...says, newest: async () => ({ status: 200, body: shown }) };
  await using ledger = await deployment.open({ ...FAST, witness });
  await using signer = deployment.connect("signer-consumer");
  const batch = deployment.consumer.next(randomEntries(2));
  shown = note(deployment);
  await signer.request(batch.head, batch.attachment);
  await check(deployment, () => ledger.logs.get(CONSUMER)?.halted);
}

test("THREAT-06: a tree that the log's own keys signed, and the log does not continue, halts it", async (t) => {
  const other = hashLeaf(Buffer.from("another"));
  const cases: Readonly<Record<string, readonly [number, RegExp]>> = {
    "a larger tree": [3, /witness holds 3 entries, the log has 2/],
    "another tree of the same size": [2, /another tree of 2 entries/],
    "a size at which no batch ends": [1, /1 entries, where no batch ends/],
  };
  for (const status of [409, 422])
    for (const [name, [size, reason]] of Object.entries(cases))
      await t.test(`${name}, after ${status}`, () =>
        refusedWith(
          status,
          (deployment) => noteBy(deployment, size, other, "both"),
          async (deployment) => {
            const { fields } = await deployment.event("log_halted");
            assert.match(String(fields.reason), reason);
          },
        ),
      );
});

test("a refusal by the witness halts nothing by itself, whatever else it shows", async (t) => {
  const other = hashLeaf(Buffer.from("another"));
  const notes: Readonly<Record<string, (deployment: Deployment) => string>> = {
    "text that is no note": () => "no note",
    "a larger tree by the log's key alone": (d) => noteBy(d, 9, other, "log"),
    "a larger tree by the writer alone": (d) => noteBy(d, 9, other, "writer"),
    "a larger tree by strangers": (d) => noteBy(d, 9, other, "strangers"),
    "the log's own tree": (d) => noteBy(d, 2, d.consumer.range.root(), "both"),
  };
  for (const status of [409, 422])
    for (const [name, note] of Object.entries(notes))
      await t.test(`${name}, after ${status}`, () =>
        refusedWith(status, note, async (deployment, halted) => {
          await until(() => deployment.eventsNamed("witness_refused").length > 2);
          assert.equal(halted(), undefined);
        }),
      );
});

test("WitnessClient posts to add-checkpoint and bounds the answer", async () => {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      requests.push(`${request.method} ${request.url} ${body}`);
      if (body === "long") response.end(Buffer.alloc(70_000, "x"));
      else response.writeHead(409).end("7\n");
    });
  });
  const url = await listen(server);
  using client = new WitnessClient(new URL(`${url}/w/`));
  assert.deepEqual(await client.send("old 0\n"), { status: 409, body: "7\n" });
  const place = hash("sha256", "log.example/a", "hex");
  assert.deepEqual(await client.newest("log.example/a"), { status: 409, body: "7\n" });
  assert.deepEqual(requests, ["POST /w/add-checkpoint old 0\n", `GET /w/${place}/checkpoint `]);
  await assert.rejects(client.send("long"), { code: "ERR_WITNESS_ANSWER" });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await assert.rejects(client.send("x"), { code: "ECONNREFUSED" });
});

function listen(server: Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      assert.ok(typeof address === "object" && address);
      resolve(`http://127.0.0.1:${address.port}`);
    });
  });
}

import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { test } from "node:test";
import { openCheckpoint } from "@redoubt/tlog";
import type { SocketClient } from "@redoubt/wire";
import {
  CONSUMER,
  createDeployment,
  REGISTRY,
  type Deployment,
  textOf,
} from "./testing/deployment.ts";
import { TestWitness } from "./testing/witness.ts";
import { randomEntries } from "./testing/writer.ts";
import { WitnessClient, type WitnessTransport } from "./witness-client.ts";

const FAST = { publishDelayMs: 1, witnessTiming: { intervalMs: 1, refreshMs: 5 } };

const sayAlways =
  (status: number, body: string): WitnessTransport =>
  async () => ({ status, body });

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

test("only the pinned witness's cosignature is kept", async () => {
  await using deployment = await createDeployment();
  const impostor = new TestWitness(
    () => 2_000_000_000,
    (origin) => deployment.verifiers(origin),
  );
  await using ledger = await deployment.open({ ...FAST, sendToWitness: impostor.send });
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
    "a 403": [403, "", "witness_refused"],
    "a 500": [500, "x".repeat(1000), "witness_refused"],
  };
  for (const [name, [status, body, event]] of Object.entries(answers))
    await t.test(name, async () => {
      await using deployment = await createDeployment();
      const send = sayAlways(status, body);
      await using ledger = await deployment.open({ ...FAST, sendToWitness: send });
      await using signer = deployment.connect("signer-consumer");
      await commit(deployment, signer);
      await deployment.event(event);
      assert.equal(ledger.logs.get(CONSUMER)?.cosigned, undefined);
      assert.equal(ledger.logs.get(REGISTRY)?.halted, undefined);
    });
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
  assert.deepEqual(requests, ["POST /w/add-checkpoint old 0\n"]);
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

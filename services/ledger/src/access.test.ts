import assert from "node:assert/strict";
import { chmodSync } from "node:fs";
import { connect } from "node:net";
import { test } from "node:test";
import { encodeVerifierKey } from "@redoubt/tlog";
import {
  encodeFrame,
  FRAME_KIND,
  FrameReader,
  readMetrics,
  readSocketSecret,
  socketPlace,
  type Frame,
  type SocketClient,
} from "@redoubt/wire";
import {
  CALLERS,
  CONSUMER,
  createDeployment,
  ENTERPRISE,
  refusalOf,
  REGISTRY,
  type Deployment,
  type TestCaller,
} from "./testing/deployment.ts";
import { randomEntries } from "./testing/writer.ts";

/** Sends bytes as they are after a good greeting, and gives what came back before the end or the first answer. */
function speak(
  deployment: Deployment,
  caller: TestCaller,
  bytes: Buffer,
): Promise<Frame | "closed"> {
  const place = socketPlace(deployment.root, "ledger", caller);
  const secret = readSocketSecret(place).reveal();
  return new Promise((resolve, reject) => {
    const socket = connect({ path: place.path });
    const reader = new FrameReader();
    let greeted = false;
    socket.on("connect", () => {
      socket.write(encodeFrame(FRAME_KIND.request, 1, { op: "hello", v: 1, secret }));
    });
    socket.on("data", (chunk: Buffer) => {
      for (const frame of reader.push(chunk)) {
        if (!greeted) {
          greeted = true;
          socket.write(bytes);
        } else {
          resolve(frame);
          socket.destroy();
        }
      }
    });
    socket.on("error", reject);
    socket.on("close", () => resolve("closed"));
  });
}

function rawRequest(head: string, attachment: Uint8Array = Buffer.alloc(0)): Buffer {
  const text = Buffer.from(head);
  const fixed = Buffer.alloc(13);
  fixed.writeUInt32BE(9 + text.length + attachment.length, 0);
  fixed.writeUInt8(FRAME_KIND.request, 4);
  fixed.writeUInt32BE(7, 5);
  fixed.writeUInt32BE(text.length, 9);
  return Buffer.concat([fixed, text, attachment]);
}

const codeOf = (frame: Frame | "closed"): unknown =>
  frame === "closed" ? "closed" : (frame.head.code ?? "no refusal");

/** What the operator is told, by name and log. */
async function metricsOf(operator: SocketClient): Promise<ReadonlyMap<string, number>> {
  const { head } = await operator.request({ op: "metrics" });
  const samples = readMetrics("ledger", JSON.stringify(head));
  return new Map(samples.map(({ name, label = "", value }) => [`${name} ${label}`.trim(), value]));
}

test("the operator alone is told metrics and health", async () => {
  await using deployment = await createDeployment();
  await deployment.open();
  for (const caller of CALLERS.filter((one) => one !== "operator")) {
    await using client = deployment.connect(caller);
    for (const op of ["metrics", "health"])
      assert.equal(await refusalOf(client.request({ op })), "ERR_REQUEST_OP", caller);
  }
  await using operator = deployment.connect("operator");
  await using signer = deployment.connect("signer-consumer");
  const before = await metricsOf(operator);
  const { head, attachment } = deployment.consumer.next(randomEntries(2));
  await signer.request(head, attachment);
  const found = await metricsOf(operator);
  const batches = "redoubt_batches_committed_total";
  assert.equal(found.get(batches), (before.get(batches) ?? NaN) + 1);
  assert.equal(found.get(`redoubt_log_entries ${CONSUMER}`), 2);
  assert.equal(found.get(`redoubt_log_halted ${CONSUMER}`), 0);
  // Nobody cosigns an empty log: its age would raise an alarm that nothing ends.
  assert.equal(found.has(`redoubt_log_cosignature_age_seconds ${ENTERPRISE}`), false);
  assert.equal(found.has(`redoubt_log_cosignature_age_seconds ${CONSUMER}`), true);
  assert.deepEqual((await operator.request({ op: "health" })).head, { ready: true });
});

test("hostile frames end in a code or the end of the connection, and the ledger lives on", async (t) => {
  await using deployment = await createDeployment();
  await deployment.open();
  const { head, attachment } = deployment.consumer.next(randomEntries(2));
  const good = JSON.stringify(head);
  const twice = `{"first":0,${good.slice(1)}`;
  const escaped = good.replace('"first"', '"\\u0066irst"');
  const huge = Buffer.alloc(17);
  huge.writeUInt32BE(5 * 1024 * 1024);
  const cases: Readonly<Record<string, readonly [TestCaller, Buffer, unknown]>> = {
    "a duplicate member": ["signer-consumer", rawRequest(twice, attachment), "ERR_WIRE_FRAME"],
    "an escaped member name": [
      "signer-consumer",
      rawRequest(escaped, attachment),
      "ERR_WIRE_FRAME",
    ],
    "the member __proto__": [
      "signer-consumer",
      rawRequest('{"op":"state","__proto__":{}}'),
      "ERR_WIRE_FRAME",
    ],
    "no JSON": ["signer-consumer", rawRequest("commit"), "ERR_WIRE_FRAME"],
    "an array": ["signer-consumer", rawRequest("[]"), "ERR_WIRE_FRAME"],
    "a frame of 5 MiB": ["signer-consumer", huge, "ERR_WIRE_TOO_LARGE"],
    "a frame that no monitor needs": [
      "monitor",
      rawRequest('{"op":"logs"}', Buffer.alloc(330_000)),
      "ERR_WIRE_TOO_LARGE",
    ],
    "an operation that there is not": [
      "signer-consumer",
      rawRequest('{"op":"drop"}'),
      "ERR_REQUEST_OP",
    ],
    "an operation of every object": [
      "signer-consumer",
      rawRequest('{"op":"constructor"}'),
      "ERR_REQUEST_OP",
    ],
    "an origin of 300 characters": [
      "signer-consumer",
      rawRequest(JSON.stringify({ op: "state", log: "x".repeat(300) })),
      "ERR_REQUEST_MEMBER",
    ],
    "a size of 2^53": [
      "monitor",
      rawRequest(JSON.stringify({ op: "prove", log: CONSUMER, index: 2 ** 53 })),
      "ERR_REQUEST_MEMBER",
    ],
    "THREAT-04: the enterprise log from the consumer's socket": [
      "signer-consumer",
      rawRequest(JSON.stringify({ ...head, log: ENTERPRISE }), attachment),
      "ERR_LEDGER_DENIED",
    ],
    "the batch itself": ["signer-consumer", rawRequest(good, attachment), "no refusal"],
  };
  for (const [name, [caller, bytes, code]] of Object.entries(cases))
    await t.test(name, async () => {
      assert.equal(codeOf(await speak(deployment, caller, bytes)), code);
    });
});

test("each operation is for the callers that the specification names", async (t) => {
  await using deployment = await createDeployment();
  await deployment.open();
  {
    await using signer = deployment.connect("signer-consumer");
    const batch = deployment.consumer.next();
    await signer.request(batch.head, batch.attachment);
  }
  const writer = encodeVerifierKey(deployment.consumer.key);
  const digest = Buffer.alloc(32).toString("base64url");
  const readers = "operator monitor publisher signer-consumer";
  // All but the broker, which asks the witness what the registry is.
  const registryReaders = CALLERS.filter((one) => one !== "broker").join(" ");
  const everybody = CALLERS.join(" ");
  const rows: readonly (readonly [string, object, string])[] = [
    ["state of an issuance log", { op: "state", log: CONSUMER }, readers],
    ["entries of it", { op: "entries", log: CONSUMER, from: 0, max: 1 }, readers],
    ["proofs of it", { op: "prove", log: CONSUMER, index: 0 }, readers],
    ["proofs of its growth", { op: "proveGrowth", log: CONSUMER, size1: 1, size2: 1 }, readers],
    ["waiting for it", { op: "wait", log: CONSUMER, size: 0, timeoutMs: 0 }, readers],
    ["opening it", { op: "openLog", log: CONSUMER, writer }, "operator signer-consumer"],
    [
      "opening it without naming the writer",
      { op: "openLog", log: CONSUMER },
      "operator signer-consumer",
    ],
    ["state of the registry", { op: "state", log: REGISTRY }, registryReaders],
    ["the registry", { op: "registry", from: 0, max: 1 }, registryReaders],
    ["opening the registry", { op: "openLog", log: REGISTRY, writer }, ""],
    [
      "the batch of an entry, with its sealed bodies",
      { op: "batch", log: CONSUMER, index: 0 },
      "operator",
    ],
    ["a batch of the registry", { op: "batch", log: REGISTRY, index: 0 }, ""],
    ["the list of logs", { op: "logs" }, everybody],
    ["another writer for the log", { op: "openLog", log: CONSUMER, writer: "x" }, ""],
    ["finding", { op: "find", log: CONSUMER, digest }, ""],
  ];
  for (const [name, head, allowed] of rows)
    await t.test(name, async () => {
      const found: string[] = [];
      for (const caller of CALLERS) {
        await using client = deployment.connect(caller);
        const code = await refusalOf(client.request({ ...head }));
        if (code === "no refusal") found.push(caller);
        else assert.match(code, /^ERR_LEDGER_(DENIED|WRITER|NOT_FOUND)$/, caller);
      }
      assert.equal(found.join(" "), allowed);
    });
  await t.test("a log that does not exist is refused as one that is not yours", async () => {
    await using signer = deployment.connect("signer-consumer");
    const refusals = ["nowhere", ENTERPRISE].map((log) =>
      signer.request({ op: "state", log }).catch((error: unknown) => String(error)),
    );
    const [first, second] = await Promise.all(refusals);
    assert.equal(first, second);
  });
});

test("THREAT-32: a folder that others can enter keeps the ledger from starting", async () => {
  await using deployment = await createDeployment();
  chmodSync(socketPlace(deployment.root, "ledger", "monitor").folder, 0o755);
  await assert.rejects(deployment.open(), { code: "ERR_FILE_MODE" });
});

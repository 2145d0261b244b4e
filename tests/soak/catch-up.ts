import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { systemClock } from "@redoubt/base";
import type { StatementBody } from "@redoubt/registry";
import { initialise, openMonitor, parseConfig, type Monitor } from "@redoubt/monitor";
import { createVerifierKey, encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";
import type { JsonObject } from "@redoubt/verify/json";
import { ask, LEDGER } from "@redoubt/wire";
import {
  CONSUMER,
  createDeployment,
  REGISTRY,
  type Deployment,
} from "../../services/ledger/src/testing/deployment.ts";
import { randomEntries } from "../../services/ledger/src/testing/writer.ts";

/** One look of a monitor at a log, from the first tick to the one that has read everything. */
export interface Look {
  /** How far it read, of how many entries. */
  readonly read: number;
  readonly size: number;
  readonly seconds: number;
  /** The kinds of alarm that it raised. */
  readonly alarms: readonly string[];
}

/** No page of a reader ends where such batches do. */
const BATCH_ENTRIES = 1001;
const GIVE_UP_MS = 120_000;

/**
 * A real monitor reads a real ledger's log, over its socket and on one core: from nothing, and again after the log
 * grew by as much while the monitor was away.
 */
export async function catchUp(entries: number, more: number): Promise<readonly Look[]> {
  await using deployment = await createDeployment();
  const ledger = await deployment.open();
  await register(deployment);
  await initialise(join(deployment.root, "monitor"));
  const looks: Look[] = [];
  for (const count of [entries, more]) {
    await fill(deployment, count);
    // As where entries come in at the pace of tokens: their tiles are written.
    await ledger.publish();
    looks.push(await look(deployment));
  }
  return looks;
}

async function look(deployment: Deployment): Promise<Look> {
  const alarms: string[] = [];
  const size = deployment.consumer.range.size;
  await using monitor = await openMonitor({
    config: parseConfig(configOf(deployment)),
    folder: join(deployment.root, "monitor"),
    root: deployment.root,
    clock: systemClock,
    sink: (name, fields = {}) => {
      if (name === "alarm") alarms.push(String(fields["kind"]));
      if (name === "ledger_unread") alarms.push(`${name} ${String(fields["code"])}`);
    },
    every: () => ({ [Symbol.dispose]: () => undefined }),
  });
  const start = performance.now();
  // A tick to which the ledger did not answer in time is followed by another, as in a monitor that runs.
  while (readSize(monitor) < size && performance.now() - start < GIVE_UP_MS) await monitor.tick();
  const seconds = (performance.now() - start) / 1000;
  return { read: readSize(monitor), size, seconds, alarms };
}

function readSize(monitor: Monitor): number {
  const { logs } = monitor.status();
  if (!Array.isArray(logs)) throw new TypeError("Status has no logs");
  return logs.find(({ log }) => log === CONSUMER)?.size ?? 0;
}

/** What the registry says of the log: only what it names is followed. */
async function register(deployment: Deployment): Promise<void> {
  const { publicKey } = generateKeyPairSync("ed25519");
  const ring = createVerifierKey({
    name: "consumer/ring",
    type: SIGNATURE_TYPE.ed25519,
    publicKey,
  });
  const logKey = deployment.logKeys.get(CONSUMER);
  if (!logKey) throw new TypeError("The log has a key");
  await using operator = deployment.connect("operator");
  const say = async (body: StatementBody): Promise<void> => {
    await ask(operator, LEDGER.append, { log: REGISTRY, ...deployment.statement(body) });
  };
  await say({
    type: "realm",
    realm: "consumer",
    issuer: "http://127.0.0.1/consumer/v2.0",
    ring: encodeVerifierKey(ring),
    tenantRule: { fixed: "9188040d-6c67-4c5b-b112-36a304b66dad" },
  });
  await say({
    type: "writer",
    realm: "consumer",
    log: CONSUMER,
    writer: encodeVerifierKey(deployment.consumer.key),
    logKey: encodeVerifierKey(logKey),
  });
}

async function fill(deployment: Deployment, count: number): Promise<void> {
  await using signer = deployment.connect("signer-consumer");
  for (let left = count; left > 0; left -= BATCH_ENTRIES) {
    const { head, attachment } = deployment.consumer.next(
      randomEntries(Math.min(left, BATCH_ENTRIES)),
    );
    await signer.request(head, attachment);
  }
}

function configOf({ operator, logKeys }: Deployment): JsonObject {
  const registryKey = logKeys.get(REGISTRY);
  if (!registryKey) throw new TypeError("The registry has a key");
  return {
    v: 1,
    http: { port: 0, proxies: null, public: null },
    registry: { log: REGISTRY, vkey: encodeVerifierKey(registryKey) },
    operator: encodeVerifierKey(operator),
    callers: [],
    publisherUrl: "http://127.0.0.1:9",
  };
}

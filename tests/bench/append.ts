import { mkdtempSync, rmSync } from "node:fs";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readRealms, setUp } from "@redoubt/cli";
import { openKeyFile } from "@redoubt/keys";
import {
  CompactRange,
  ed25519Signer,
  encodeCheckpoint,
  encodeEntryBundle,
  hashLeaf,
  signNote,
  type NoteSigner,
} from "@redoubt/tlog";
import { joinBlobs, readSocketSecret, SocketClient, socketPlace } from "@redoubt/wire";
import { launch } from "../../apps/redoubt/src/up/launch.ts";
import { freeBasePort } from "../e2e/free-ports.ts";
import { medianRatio, median, percentile, round, type Measure } from "./measure.ts";
import { startPostgres, type Postgres } from "./postgres.ts";

export { postgresIsInstalled } from "./postgres.ts";

const ENTRY_BYTES = 65;
/** Entry and sealed body together: the size of the compared row. */
const EVENT_BYTES = 200;
const ROUNDS = 3;
const ROUND_MS = 2500;
const PG_CONNECTIONS = 64;
const MAX_BATCH = 256;

interface Round {
  readonly perSecond: number;
  readonly p50: number;
}
type Append = () => Promise<void>;

/** Durable appends through the ledger process against one PostgreSQL INSERT per event. */
export async function* benchAppend(): AsyncGenerator<Measure> {
  await using postgres = await startPostgres(PG_CONNECTIONS);
  await postgres.pool.query("create table event (id bigserial primary key, body bytea not null)");
  await using ledger = await startLedger();
  for (const inFlight of [64, 1024]) yield* compare(inFlight, ledger.append, insert(postgres));
}

async function* compare(inFlight: number, ours: Append, theirs: Append): AsyncGenerator<Measure> {
  const rounds: { ours: Round; theirs: Round }[] = [];
  for (let i = 0; i < ROUNDS; i += 1)
    rounds.push({ ours: await load(inFlight, ours), theirs: await load(inFlight, theirs) });
  const rates = rounds.map((r) => r.ours.perSecond);
  const against = "PostgreSQL INSERT per event";
  yield {
    name: `append/200B/${inFlight}`,
    value: round(median(rates)),
    unit: "durable entries per second",
    against,
    ratio: round(
      medianRatio(
        rates,
        rounds.map((r) => r.theirs.perSecond),
      ),
    ),
  };
  yield {
    name: `append/200B/${inFlight}/p50`,
    value: round(median(rounds.map((r) => r.ours.p50))),
    unit: "ms",
    against,
    ratio: round(
      medianRatio(
        rounds.map((r) => r.theirs.p50),
        rounds.map((r) => r.ours.p50),
      ),
    ),
  };
}

async function load(inFlight: number, append: Append): Promise<Round> {
  const latencies: number[] = [];
  const start = performance.now();
  const end = start + ROUND_MS;
  const appender = async () => {
    while (performance.now() < end) {
      const sentAt = performance.now();
      await append();
      latencies.push(performance.now() - sentAt);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, appender));
  const seconds = (performance.now() - start) / 1000;
  return { perSecond: latencies.length / seconds, p50: percentile(latencies, 0.5) };
}

function insert({ pool }: Postgres): Append {
  const body = randomBytes(EVENT_BYTES);
  return async () => {
    await pool.query({
      name: "append",
      text: "insert into event (body) values ($1)",
      values: [body],
    });
  };
}

/** The ledger as a process of its own, launched as in production, with one writer. */
async function startLedger(): Promise<{ append: Append } & AsyncDisposable> {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-bench-"));
  const base = await freeBasePort();
  await setUp(folder, base, new Date());
  const child = launch("ledger", folder);
  child.stderr?.pipe(process.stderr);
  child.stdout?.resume();
  await once(child, "message");
  const { log } = readRealms(folder).consumer;
  const place = socketPlace(folder, "ledger", "signer-consumer");
  const client = new SocketClient({ path: place.path, secret: readSocketSecret(place) });
  const { privateKey } = openKeyFile(join(folder, "signer-consumer", "writer.key"));
  await client.request({ op: "openLog", log });
  const writer = new GroupWriter(client, log, ed25519Signer(`${log}/writer`, privateKey));
  return {
    append: () => writer.append(),
    [Symbol.asyncDispose]: async () => {
      await client[Symbol.asyncDispose]();
      const ended = once(child, "exit");
      child.disconnect();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Many appenders, one writer: what arrives in one turn is one batch, two batches are under way at once. */
class GroupWriter {
  readonly #client: SocketClient;
  readonly #log: string;
  readonly #signer: NoteSigner;
  readonly #range = CompactRange.empty();
  #waiting: { done: () => void; failed: (error: unknown) => void }[] = [];
  #underWay = 0;
  #isScheduled = false;

  constructor(client: SocketClient, log: string, signer: NoteSigner) {
    this.#client = client;
    this.#log = log;
    this.#signer = signer;
  }

  append(): Promise<void> {
    return new Promise((done, failed) => {
      this.#waiting.push({ done, failed });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#underWay >= 2 || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting.splice(0, MAX_BATCH);
    this.#underWay += 1;
    try {
      await this.#commit(batch.length);
      for (const { done } of batch) done();
    } catch (error) {
      for (const { failed } of batch) failed(error);
    }
    this.#underWay -= 1;
    this.#schedule();
  }

  async #commit(count: number): Promise<void> {
    const first = this.#range.size;
    const random = randomBytes(count * (ENTRY_BYTES - 1));
    const entries = Array.from({ length: count }, (_, i) =>
      Buffer.concat([Buffer.of(1), random.subarray(i * 64, i * 64 + 64)]),
    );
    for (const entry of entries) this.#range.append(hashLeaf(entry));
    const { size } = this.#range;
    const body = encodeCheckpoint({ origin: this.#log, size, root: this.#range.root() });
    const bundle = encodeEntryBundle(entries);
    const blob = randomBytes(count * (EVENT_BYTES - ENTRY_BYTES));
    await this.#client.request(
      {
        op: "commit",
        log: this.#log,
        first,
        count,
        checkpoint: signNote(body, [this.#signer]),
        entriesBytes: bundle.length,
      },
      Buffer.concat([bundle, joinBlobs([blob])]),
    );
  }
}

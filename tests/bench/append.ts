import { mkdtempSync, rmSync } from "node:fs";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loopbackPlan, readSettings, setUp } from "@redoubt/cli";
import { openKeyFile } from "@redoubt/custody";
import { ed25519Signer } from "@redoubt/tlog";
import { ask, LEDGER, readSocketSecret, SocketClient, socketPlace } from "@redoubt/wire";
import { launch } from "../../apps/redoubt/src/up/launch.ts";
import { freeBasePort } from "../e2e/free-ports.ts";
import { EVENT_BYTES, GroupWriter } from "./group-writer.ts";
import { medianRatio, median, percentile, round, type Measure } from "./measure.ts";
import { startPostgres, type Postgres } from "./postgres.ts";

export { postgresIsInstalled } from "./postgres.ts";

const ROUNDS = 3;
const ROUND_MS = 2500;
const PG_CONNECTIONS = 64;

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
  await setUp(folder, loopbackPlan(base), new Date());
  const child = launch("ledger", folder);
  child.stderr?.pipe(process.stderr);
  child.stdout?.resume();
  await once(child, "message");
  const { log } = readSettings(folder).realms.consumer;
  const place = socketPlace(folder, "ledger", "signer-consumer");
  const client = new SocketClient({ path: place.path, secret: readSocketSecret(place) });
  const { privateKey } = openKeyFile(join(folder, "signer-consumer", "writer.key"));
  await ask(client, LEDGER.openLog, { log });
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

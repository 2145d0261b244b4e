// What a system keeps of a million tokens (or as many as the first argument says): the memory of every process, and
// the disk. One line of JSON for each twentieth, then one with what grew; exit code 1 where something grows without bound.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { SERVICES } from "@redoubt/cli";
import { startSystem, type System } from "../e2e/system.ts";
import { endpointsOf, type TokenEndpoint } from "./token-load.ts";

const SAMPLES = 20;
const WORKERS = 32;
const SETTLE_MS = 5000;
/** Of the last third of the samples, over the middle third: what a heap takes for itself differs by some. */
const MAX_GROWTH = 1.15;
const MAX_LEDGER_BYTES = 250;
const MAX_WAL_BYTES = 17 * 1024 * 1024;

interface Sample {
  readonly tokens: number;
  readonly seconds: number;
  /** PSS in MB, by service. */
  readonly memory: Readonly<Record<string, number>>;
  readonly ledgerBytesPerToken: number;
  readonly largestWalBytes: number;
  /** Of the signers: what no witness had cosigned yet. */
  readonly journalBytes: number;
}

const wanted = Number(process.argv[2] ?? 1_000_000);
let refused = 0;
const parent = await mkdtemp(join(tmpdir(), "redoubt-growth-"));
try {
  await using system = await startSystem({ folder: join(parent, "data") });
  const samples = await grow(system);
  const found = violations(samples);
  console.log(JSON.stringify({ tokens: wanted, refused, violations: found }));
  process.exitCode = found.length === 0 ? 0 : 1;
} finally {
  await rm(parent, { recursive: true, force: true });
}

async function grow(system: System): Promise<readonly Sample[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: WORKERS });
  const started = performance.now();
  const samples: Sample[] = [];
  let tokens = 0;
  const work = async (endpoint: TokenEndpoint, until: number): Promise<void> => {
    while (tokens < until) {
      if (await askToken(endpoint, agent)) tokens += 1;
      else {
        refused += 1;
        await pause(20);
      }
    }
  };
  for (let step = 1; step <= SAMPLES; step += 1) {
    const until = (wanted / SAMPLES) * step;
    await Promise.all(
      endpointsOf(system).flatMap((endpoint) =>
        Array.from({ length: WORKERS / 2 }, () => work(endpoint, until)),
      ),
    );
    const seconds = (performance.now() - started) / 1000;
    // Nobody waits for anything any more: what is held now is kept.
    await pause(SETTLE_MS);
    const sample = await measure(system, { tokens, seconds });
    console.log(JSON.stringify(sample));
    samples.push(sample);
  }
  agent.destroy();
  return samples;
}

async function measure(system: System, at: Pick<Sample, "tokens" | "seconds">): Promise<Sample> {
  const memory: Record<string, number> = {};
  for (const service of SERVICES) memory[service] = pssOf(await system.pidOf(service));
  const ledger = filesOf(join(system.folder, "ledger")).filter(({ name }) =>
    /^(?:ledger|find)\.db/.test(name),
  );
  const wals = filesOf(system.folder).filter(({ name }) => name.endsWith("-wal"));
  const journals = filesOf(system.folder).filter(({ name }) => name.includes("/journals/"));
  return {
    tokens: at.tokens,
    seconds: Math.round(at.seconds),
    memory,
    ledgerBytesPerToken: Math.round(sum(ledger) / at.tokens),
    largestWalBytes: Math.max(0, ...wals.map(({ bytes }) => bytes)),
    journalBytes: sum(journals),
  };
}

function pssOf(pid: number): number {
  const [, kilobytes = "0"] =
    /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")) ?? [];
  return Math.round(Number(kilobytes) / 1024);
}

function filesOf(folder: string): { readonly name: string; readonly bytes: number }[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).flatMap((name) => {
    const stat = statSync(join(folder, name), { throwIfNoEntry: false });
    return stat?.isFile() === true ? [{ name, bytes: stat.size }] : [];
  });
}

function sum(files: readonly { readonly bytes: number }[]): number {
  return files.reduce((total, { bytes }) => total + bytes, 0);
}

function violations(samples: readonly Sample[]): string[] {
  const third = Math.floor(samples.length / 3);
  const found: string[] = [];
  for (const service of SERVICES) {
    const most = (part: readonly Sample[]) =>
      Math.max(...part.map(({ memory }) => memory[service] ?? 0));
    const [middle, last] = [most(samples.slice(third, -third)), most(samples.slice(-third))];
    if (last > middle * MAX_GROWTH) found.push(`${service} grew from ${middle} to ${last} MB`);
  }
  const end = samples.at(-1);
  if (end && end.ledgerBytesPerToken > MAX_LEDGER_BYTES)
    found.push(`the ledger takes ${end.ledgerBytesPerToken} bytes a token`);
  const wal = Math.max(...samples.map(({ largestWalBytes }) => largestWalBytes));
  if (wal > MAX_WAL_BYTES) found.push(`a write-ahead log had ${wal} bytes`);
  return found;
}

/** Says whether a token came. */
function askToken({ url, client }: TokenEndpoint, agent: Agent): Promise<boolean> {
  return new Promise((resolve) => {
    const body = "grant_type=client_credentials";
    const headers = {
      authorization: `Basic ${btoa(`${client.client}:${client.secret}`)}`,
      "content-type": "application/x-www-form-urlencoded",
      "content-length": body.length,
    };
    const call = request(url, { method: "POST", agent, headers, timeout: 15_000 }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode === 200));
      response.on("error", () => resolve(false));
    });
    call.on("error", () => resolve(false));
    call.on("timeout", () => call.destroy());
    call.end(body);
  });
}

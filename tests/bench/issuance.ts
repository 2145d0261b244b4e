import { fork } from "node:child_process";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { mkdtempDisposable, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDemo } from "@redoubt/cli";
import { parseJsonObject } from "@redoubt/verify/json";
import { freeBasePort } from "../e2e/free-ports.ts";
import { startSystem, type System } from "../e2e/system.ts";
import { totalCpuSeconds } from "./cpu.ts";
import { httpLoad, tokenRequest, type LoadTarget } from "./http-load.ts";
import { median, medianRatio, percentile, round, type Measure } from "./measure.ts";

const IN_FLIGHT = 64;
const ROUNDS = 5;
const ROUND_SECONDS = 3;
const WARM_SECONDS = 2;

interface Side {
  readonly target: LoadTarget;
  readonly pids: readonly number[];
}

interface Round {
  readonly tokensPerCpuSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** Hardened issuance (scope and log before signing) against oidc-provider issuing the same token. */
export async function* benchIssuance(): AsyncGenerator<Measure> {
  await using folder = await mkdtempDisposable(join(tmpdir(), "redoubt-bench-"));
  await using system = await startUnbounded(join(folder.path, "data"));
  // Every process that had to be there for the token, idle ones too.
  const pids = await system.pids();
  const client = readDemo(system.folder).clients.find(({ realm }) => realm === "enterprise");
  if (!client) throw new Error("The enterprise demo client is missing");
  const secret = randomBytes(32).toString("base64url");
  const port = await freeBasePort();
  const other = fork(join(import.meta.dirname, "oidc-provider-server.ts"), [String(port), secret], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  try {
    await once(other, "message");
    const ours: Side = {
      target: {
        port: system.base + 2,
        request: tokenRequest(`/${client.tenant}/oauth2/v2.0/token`, client.client, client.secret, {
          grant_type: "client_credentials",
          scope: "orders.read",
        }),
      },
      pids,
    };
    const theirs: Side = {
      target: {
        port,
        request: tokenRequest("/token", "bench", secret, {
          grant_type: "client_credentials",
          scope: "orders.read",
        }),
      },
      pids: [other.pid ?? 0],
    };
    yield* compare(ours, theirs);
  } finally {
    other.disconnect();
  }
}

/** The load is one client's, and measures what the machine can do: more than one client may take. */
async function startUnbounded(folder: string): Promise<System> {
  const first = await startSystem({ folder });
  await first.stop();
  const path = join(folder, "signer-enterprise", "config.json");
  const config = parseJsonObject(await readFile(path));
  const budget = { perSecond: 1_000_000, burst: 1_000_000 };
  await writeFile(path, JSON.stringify({ ...config, budget }));
  return startSystem({ folder, port: first.base });
}

async function* compare(ours: Side, theirs: Side): AsyncGenerator<Measure> {
  for (const side of [ours, theirs]) await httpLoad(side.target, IN_FLIGHT, WARM_SECONDS);
  const rounds: { ours: Round; theirs: Round }[] = [];
  for (let i = 0; i < ROUNDS; i += 1)
    rounds.push({ ours: await runRound(ours), theirs: await runRound(theirs) });
  const of = (side: "ours" | "theirs", name: keyof Round) => rounds.map((r) => r[side][name]);
  yield {
    name: "issuance/es256/64",
    value: round(median(of("ours", "tokensPerCpuSecond"))),
    unit: "tokens per CPU-second of all processes",
    against: "oidc-provider 9.13",
    ratio: round(medianRatio(of("ours", "tokensPerCpuSecond"), of("theirs", "tokensPerCpuSecond"))),
  };
  for (const name of ["p50", "p99"] as const)
    yield {
      name: `issuance/es256/64/${name}`,
      value: round(median(of("ours", name))),
      unit: "ms",
      against: "oidc-provider 9.13",
      // Smaller is better: turned round, so that more than 1 is always ours.
      ratio: round(medianRatio(of("theirs", name), of("ours", name))),
    };
}

async function runRound({ target, pids }: Side): Promise<Round> {
  const before = totalCpuSeconds(pids);
  const { done, latenciesMs } = await httpLoad(target, IN_FLIGHT, ROUND_SECONDS);
  // What the token causes after it left (reports, tiles, witness) belongs to it.
  await new Promise((resolve) => {
    setTimeout(resolve, 700);
  });
  const used = totalCpuSeconds(pids) - before;
  return {
    tokensPerCpuSecond: done / used,
    p50: percentile(latenciesMs, 0.5),
    p99: percentile(latenciesMs, 0.99),
  };
}

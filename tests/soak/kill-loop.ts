import { setTimeout as pause } from "node:timers/promises";
import { Operator, readRealms, readSettings, REALMS } from "@redoubt/cli";
import { MemberReader } from "@redoubt/base";
import {
  hashLeaf,
  CompactRange,
  openCheckpoint,
  parseEntryBundle,
  parseVerifierKey,
} from "@redoubt/tlog";
import type { System } from "../e2e/system.ts";
import { endpointsOf, TokenLoad } from "./token-load.ts";

export const KILLABLE = [
  "ledger",
  "monitor",
  "signer-consumer",
  "signer-enterprise",
  "issuer-consumer",
  "issuer-enterprise",
] as const;

export interface KillLoopResult {
  readonly rounds: number;
  readonly tokens: number;
  readonly refused: number;
  /** Tokens that a client holds and no log does. */
  readonly missing: readonly string[];
  readonly entries: number;
  readonly slowestRecoveryMs: number;
}

const RECOVERY_TIMEOUT_MS = 20_000;
const WORKERS = 8;

/** Kills one process after the other under load, with SIGKILL, and compares what clients hold with the logs. */
export async function killLoop(
  system: System,
  rounds: number,
  onRound: (line: string) => void,
): Promise<KillLoopResult> {
  const load = new TokenLoad(endpointsOf(system));
  load.start(WORKERS);
  let slowestRecoveryMs = 0;
  try {
    for (let round = 0; round < rounds; round += 1) {
      const victim = KILLABLE[round % KILLABLE.length] ?? "ledger";
      await untilMoreTokens(load, 20);
      process.kill(await system.pidOf(victim), "SIGKILL");
      const ms = await recovery(system, load, victim);
      slowestRecoveryMs = Math.max(slowestRecoveryMs, ms);
      onRound(`round ${round + 1}: ${victim} back after ${ms} ms, ${load.received.size} tokens`);
    }
    await untilMoreTokens(load, 20);
  } finally {
    await load.stop();
  }
  const logged = await loggedDigests(system);
  return {
    rounds,
    tokens: load.received.size,
    refused: load.refused,
    missing: [...load.received].filter((digest) => !logged.has(digest)),
    entries: logged.size,
    slowestRecoveryMs,
  };
}

/** Ready again, by itself, and both realms' clients get tokens again. */
async function recovery(system: System, load: TokenLoad, victim: string): Promise<number> {
  const start = performance.now();
  const deadline = start + RECOVERY_TIMEOUT_MS;
  for (;;) {
    const status = await system.status();
    if (Object.values(status).every(({ ready }) => ready === true)) break;
    if (performance.now() > deadline)
      throw new Error(`${victim} did not come back: ${JSON.stringify(status)}`);
    await pause(25);
  }
  await untilMoreTokens(load, 1);
  return Math.round(performance.now() - start);
}

async function untilMoreTokens(load: TokenLoad, more: number): Promise<void> {
  const wanted = load.received.size + more;
  const deadline = performance.now() + RECOVERY_TIMEOUT_MS;
  while (load.received.size < wanted) {
    if (performance.now() > deadline) throw new Error("Clients get no tokens any more");
    await pause(10);
  }
}

/** Every digest in both issuance logs, read from the ledger and proven against the logs' keys. */
async function loggedDigests(system: System): Promise<ReadonlySet<string>> {
  await using operator = new Operator(system.folder, readSettings(system.folder));
  const realms = readRealms(system.folder);
  const digests = new Set<string>();
  for (const realm of REALMS) {
    const { log, logKey, writer } = realms[realm];
    for (const entry of await provenEntries(operator, log, [logKey, writer]))
      digests.add(entry.subarray(1, 33).toString("base64url"));
  }
  return digests;
}

async function provenEntries(
  operator: Operator,
  log: string,
  keys: readonly string[],
): Promise<Buffer[]> {
  const range = CompactRange.empty();
  const entries: Buffer[] = [];
  for (;;) {
    const from = range.size;
    const reply = await operator.client("ledger").request({ op: "entries", log, from, max: 256 });
    const reader = new MemberReader(reply.head, "entries");
    const size = reader.integer("size", 0, Number.MAX_SAFE_INTEGER);
    for (const entry of parseEntryBundle(reply.attachment)) {
      entries.push(Buffer.from(entry));
      range.append(hashLeaf(entry));
    }
    if (range.size < size && range.size > from) continue;
    const opened = openCheckpoint(reader.string("checkpoint", 65_536), {
      origin: log,
      verifiers: keys.map((key) => parseVerifierKey(key)),
    });
    if (
      opened.size !== range.size ||
      !opened.root.equals(range.root()) ||
      opened.verified.length < 2
    )
      throw new Error(`${log}: entries are not the tree that log and writer signed`);
    return entries;
  }
}

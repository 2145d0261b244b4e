// Signatures per second of a SoftHSM token, by session and process, against node:crypto in the same run.
// By itself: node tools/run.mjs tests/bench/custody.ts
import { fork, type ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { generateKeyPair, publicJwk, signerFor, type Signer } from "@redoubt/keys";
import { openPkcs11Custodian } from "@redoubt/custody/pkcs11";
import {
  createSoftHsm,
  createToken,
  NO_SOFTHSM,
  softHsmEnv,
  SOFTHSM_MODULE,
} from "@redoubt/custody/testing/softhsm";
import { Secret } from "@redoubt/base";
import { median, round } from "./measure.ts";

const ROUNDS = 3;
const IN_FLIGHT = 32;
const PIN = "73519264";
const input = Buffer.alloc(700, "x");

interface Case {
  readonly name: string;
  readonly alg: "ES256" | "Ed25519" | "RS256";
  readonly signing: "sync" | "async" | "node:crypto";
  readonly sessions: number;
  readonly processes: number;
  readonly count: number;
}

interface Rate {
  readonly perSecond: number;
  readonly perCpuSecond: number;
}

const cases: readonly Case[] = [
  ...(["ES256", "Ed25519"] as const).flatMap((alg) => [
    one(alg, "node:crypto", 1, 1),
    one(alg, "sync", 1, 1),
    one(alg, "sync", 1, 2),
    ...[1, 2, 4].map((sessions) => one(alg, "async", sessions, 1)),
  ]),
  one("RS256", "node:crypto", 1, 1),
  ...[1, 2, 4].map((sessions) => one("RS256", "async", sessions, 1)),
  one("RS256", "async", 2, 2),
];

function one(
  alg: Case["alg"],
  signing: Case["signing"],
  sessions: number,
  processes: number,
): Case {
  const count = alg === "RS256" ? 120 : 1000;
  const where = signing === "async" ? `pool, ${sessions} sessions` : signing;
  const name = `${alg}, ${where}${processes > 1 ? `, ${processes} processes` : ""}`;
  return { name, alg, signing, sessions, processes, count };
}

async function openSigner({ alg, signing, sessions }: Case): Promise<Signer> {
  if (signing === "node:crypto") {
    const { privateKey, publicKey } = generateKeyPair(alg);
    publicJwk(publicKey);
    return signerFor(alg, privateKey, publicKey);
  }
  const custodian = await openPkcs11Custodian({
    module: SOFTHSM_MODULE,
    tokenLabel: "bench",
    pin: new Secret(PIN),
    signing,
    sessions,
  });
  return (await custodian.generate(alg)).sign;
}

async function measure(sign: Signer, count: number): Promise<Rate> {
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  let left = count;
  const work = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const signature = sign(input);
      if (signature instanceof Promise) await signature;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  const { user, system } = process.cpuUsage(cpu);
  return {
    perSecond: count / ((performance.now() - start) / 1000),
    perCpuSecond: count / ((user + system) / 1_000_000),
  };
}

/** One worker serves all cases; it measures when it is told to, so that rounds interleave. */
async function serve(): Promise<void> {
  const signers: Signer[] = [];
  for (const each of cases) signers.push(await openSigner(each));
  process.on("message", (place: unknown) => {
    const [each, sign] = [cases[Number(place)], signers[Number(place)]];
    if (each && sign) void measure(sign, each.count).then((rate) => process.send?.(rate));
  });
  process.on("disconnect", () => process.exit());
  process.send?.("ready");
}

function answer(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error("Worker ended"));
    child.once("exit", ended);
    child.once("message", (message) => {
      child.off("exit", ended);
      resolve(message);
    });
  });
}

function isRate(value: unknown): value is Rate {
  return typeof value === "object" && value !== null && "perCpuSecond" in value;
}

async function runTurn(children: readonly ChildProcess[], place: number): Promise<Rate> {
  const working = children.slice(0, cases[place]?.processes);
  for (const child of working) child.send(place);
  const rates = (await Promise.all(working.map(answer))).filter(isRate);
  return {
    perSecond: rates.reduce((sum, rate) => sum + rate.perSecond, 0),
    perCpuSecond: rates.reduce((sum, rate) => sum + rate.perCpuSecond, 0) / rates.length,
  };
}

async function main(): Promise<void> {
  if (NO_SOFTHSM !== false) throw new Error(NO_SOFTHSM);
  const folder = createSoftHsm();
  const env = { ...process.env, ...softHsmEnv(folder) };
  createToken("bench", PIN, env);
  const children: ChildProcess[] = [];
  try {
    // One after the other: SoftHSM makes keys under a lock of its own.
    for (let i = 0; i < 2; i += 1) {
      const child = fork(import.meta.filename, ["worker"], { env });
      children.push(child);
      await answer(child);
    }
    const rates = cases.map((): Rate[] => []);
    for (let turn = 0; turn < ROUNDS; turn += 1)
      for (const place of cases.keys()) rates[place]?.push(await runTurn(children, place));
    for (const [place, { name }] of cases.entries()) {
      const [wall, cpu] = (["perSecond", "perCpuSecond"] as const).map((unit) =>
        round(median((rates[place] ?? []).map((rate) => rate[unit]))),
      );
      console.log(`${name.padEnd(36)} ${wall} /s ${cpu} per CPU-second`);
    }
  } finally {
    for (const child of children) child.disconnect();
    rmSync(folder, { recursive: true });
  }
}

await (process.argv[2] === "worker" ? serve() : main());

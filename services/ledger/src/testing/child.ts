import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Deployment } from "./deployment.ts";

const SERVICE = join(import.meta.dirname, "..");
const REPOSITORY = join(SERVICE, "..", "..", "..");

/** A ledger in a process of its own, started as in production: permission model, data folder as working directory. */
export interface ChildLedger {
  readonly process: ChildProcess;
  /** Resolves when it can do its work; rejects if it ends before. */
  readonly ready: Promise<void>;
  /** How it ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  readonly output: () => string;
}

export function startLedger(
  { root }: Deployment,
  { main = "main.ts", prefix = [] }: { main?: string; prefix?: readonly string[] } = {},
): ChildLedger {
  const node = [
    process.execPath,
    "--permission",
    ...["packages", "services/ledger", "node_modules"].map(
      (folder) => `--allow-fs-read=${join(REPOSITORY, folder)}`,
    ),
    `--allow-fs-read=${join(root, "ledger")}`,
    `--allow-fs-write=${join(root, "ledger")}`,
    "--disable-sigusr1",
    join(SERVICE, main),
  ];
  const [command = "", ...args] = [...prefix, ...node];
  const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe", "ipc"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(child, "exit").then(() => ({
    code: child.exitCode,
    signal: child.signalCode,
  }));
  const ready = Promise.race([
    once(child, "message").then(() => undefined),
    ended.then(() => {
      throw new Error(`Ledger ended before it was ready: ${output}`);
    }),
  ]);
  ready.catch(() => undefined);
  return { process: child, ready, ended, output: () => output };
}

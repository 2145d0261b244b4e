// Run by tools/run.mjs when it has installed something: starts a system once on a folder of its own, so that what its
// processes compiled is there for every fresh data folder. Nothing depends on it: without it a first start is slower.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keepCompileCache } from "./up/compile-cache.ts";

const TIMEOUT_MS = 60_000;
const HIGHEST_BASE = 65_000;

const scratch = mkdtempSync(join(tmpdir(), "redoubt-warm-"));
try {
  const folder = join(scratch, "data");
  if (await startOnce(folder)) keepCompileCache(folder);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

/** Whether it became ready. */
async function startOnce(folder: string): Promise<boolean> {
  const main = join(import.meta.dirname, "main.ts");
  const args = [main, "up", "--json", "--data", folder, "--port", String(await freePort())];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore", "ipc"] });
  const timer = setTimeout(() => child.disconnect(), TIMEOUT_MS);
  const ended = once(child, "exit");
  const isReady = await Promise.race([firstLine(child), ended.then(() => false)]);
  clearTimeout(timer);
  if (child.connected) child.disconnect();
  await ended;
  return isReady;
}

/** Resolves when the child prints its announcement, which means that everything is ready. */
function firstLine({ stdout }: ChildProcess): Promise<boolean> {
  return new Promise((resolve) => {
    stdout?.once("data", () => resolve(true));
  });
}

/** The first of five that are most likely free: the system gives out the lowest, and rarely two neighbours. */
async function freePort(): Promise<number> {
  const probe = createServer().listen({ port: 0, host: "127.0.0.1" });
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  return typeof address === "object" && address ? Math.min(address.port, HIGHEST_BASE) : 0;
}

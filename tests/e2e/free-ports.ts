import { randomInt } from "node:crypto";
import { createServer, type Server } from "node:net";

const PORTS = 6;
// Below the ports that the system hands out by itself, so that no test on port 0 takes one in between.
const LOWEST = 12_000;
const HIGHEST = 32_000;
const BLOCKS = Math.floor((HIGHEST - LOWEST) / (PORTS + 1));
const ATTEMPTS = 50;

/**
 * The first of six ports in a row on which nobody listens now. Until this process ends they are its own: it keeps the
 * port after them, so that a second copy of the tests chooses others, also before anybody listens on these.
 */
export async function freeBasePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const base = LOWEST + (PORTS + 1) * randomInt(BLOCKS);
    const claim = await listen(base + PORTS);
    if (claim && (await areFree(base))) return base;
    claim?.close();
  }
  throw new Error("No six free ports found");
}

async function areFree(base: number): Promise<boolean> {
  const probes = Array.from({ length: PORTS }, (_, i) => isFree(base + i));
  return (await Promise.all(probes)).every(Boolean);
}

export async function isFree(port: number): Promise<boolean> {
  const probe = await listen(port);
  if (!probe) return false;
  await new Promise((resolve) => {
    probe.close(resolve);
  });
  return true;
}

/** Listens without keeping the process alive; undefined where somebody else does. */
function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer().unref();
    server.once("error", () => resolve(undefined));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => resolve(server));
  });
}

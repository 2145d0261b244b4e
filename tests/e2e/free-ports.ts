import { randomInt } from "node:crypto";
import { createServer } from "node:net";

const PORTS = 5;
// Below the ports that the system hands out by itself, so that no test on port 0 takes one in between.
const LOWEST = 12_000;
const HIGHEST = 32_000;
const ATTEMPTS = 50;

/** The first of five ports in a row on which nobody listens now. */
export async function freeBasePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const base = randomInt(LOWEST, HIGHEST);
    if (await areFree(base)) return base;
  }
  throw new Error("No five free ports found");
}

async function areFree(base: number): Promise<boolean> {
  const probes = Array.from({ length: PORTS }, (_, i) => isFree(base + i));
  return (await Promise.all(probes)).every(Boolean);
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      probe.close(() => resolve(true));
    });
  });
}

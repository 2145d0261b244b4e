import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { randomInt } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { errorCode, ServiceError } from "@redoubt/base";
import { createSystem, loopbackPlan } from "../init/init.ts";
import { portsFrom } from "../layout.ts";
import { changeConfig } from "../recover/service-config.ts";
import { readSettings, type Settings } from "../settings.ts";
import { checkPortsFree } from "../up/up.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const PORT_ATTEMPTS = 20;
const [LOWEST_PORT, HIGHEST_PORT] = [20_000, 30_000];
const START_MS = 120_000;
const STOP_MS = 30_000;
/** Short enough to see one end. */
const LEASE_SECONDS = 8;

/** A whole Redoubt of a drill's own, with leases, whose processes are the real ones. It is gone when the drill is over. */
export class OwnSystem implements AsyncDisposable {
  readonly folder: string;
  readonly settings: Settings;
  readonly #process: ChildProcess;

  private constructor(folder: string, running: ChildProcess) {
    this.folder = folder;
    this.settings = readSettings(folder);
    this.#process = running;
  }

  /** @throws ServiceError `ERR_DRILL_START` */
  static async start(): Promise<OwnSystem> {
    const root = mkdtempSync(join(tmpdir(), "redoubt-drill-"));
    const folder = join(root, "data");
    try {
      const port = await freePort();
      await createSystem(folder, loopbackPlan(port), { leases: true });
      changeConfig(folder, "broker", (config) => ({ ...config, leaseSeconds: LEASE_SECONDS }));
      return new OwnSystem(folder, await startIn(folder, port));
    } catch (error) {
      rmSync(root, { recursive: true, force: true });
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGINT");
    const force = setTimeout(() => this.#process.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(force);
    rmSync(join(this.folder, ".."), { recursive: true, force: true });
  }
}

/** The first of six ports that nobody has. */
async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt += 1) {
    const port = randomInt(LOWEST_PORT, HIGHEST_PORT);
    try {
      // oxlint-disable-next-line no-await-in-loop -- the first that is free ends it
      await checkPortsFree(portsFrom(port));
      return port;
    } catch (error) {
      if (errorCode(error) !== "ERR_PORT") throw error;
    }
  }
  throw new ServiceError("ERR_DRILL_START", "No six free ports for the drill's own system");
}

/** @throws ServiceError `ERR_DRILL_START` */
export async function startIn(folder: string, port: number): Promise<ChildProcess> {
  // The port is named: REDOUBT_PORT is that of the operator's own system.
  const args = [MAIN, "--json", "--data", folder, "up", "--port", String(port)];
  const running = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
  const force = setTimeout(() => running.kill("SIGKILL"), START_MS);
  for await (const line of createInterface(running.stdout))
    if (line.includes('"ready":true')) {
      clearTimeout(force);
      running.stdout.resume();
      return running;
    }
  clearTimeout(force);
  throw new ServiceError("ERR_DRILL_START", "The drill's own system did not start");
}

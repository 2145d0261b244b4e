import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pool } from "pg";
import { freeBasePort } from "../e2e/free-ports.ts";

const BIN = "/usr/lib/postgresql/15/bin";

export function postgresIsInstalled(): boolean {
  return existsSync(join(BIN, "postgres"));
}

export interface Postgres extends AsyncDisposable {
  readonly pool: Pool;
}

const START_TIMEOUT_MS = 20_000;

/** A PostgreSQL of its own in a temporary folder, with the durability that it has by default. */
export async function startPostgres(connections: number): Promise<Postgres> {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-pg-"));
  const user = serverUser();
  if (user) chownSync(folder, user.uid, user.gid);
  const data = join(folder, "data");
  const as = user ?? {};
  execFileSync(join(BIN, "initdb"), ["-D", data, "-A", "trust", "-U", "bench"], {
    ...as,
    stdio: "ignore",
  });
  const port = await freeBasePort();
  const args = [
    "-D",
    data,
    "-p",
    String(port),
    "-k",
    folder,
    "-h",
    "127.0.0.1",
    "-N",
    String(connections + 8),
  ];
  const server = spawn(join(BIN, "postgres"), args, { ...as, stdio: "ignore" });
  const pool = new Pool({
    host: "127.0.0.1",
    port,
    user: "bench",
    database: "postgres",
    max: connections,
  });
  pool.on("error", () => undefined);
  await untilUp(pool);
  return {
    pool,
    [Symbol.asyncDispose]: async () => {
      await pool.end();
      const ended = once(server, "exit");
      server.kill("SIGINT");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** PostgreSQL refuses to run as root. */
function serverUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  return { uid: postgresId("-u"), gid: postgresId("-g") };
}

async function untilUp(pool: Pool): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    try {
      await pool.query("select 1");
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => {
        setTimeout(resolve, 100);
      });
    }
  }
}

function postgresId(flag: "-u" | "-g"): number {
  return Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
}

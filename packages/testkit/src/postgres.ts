import { execFile, execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const BIN = "/usr/lib/postgresql/15/bin";
const START_TIMEOUT_MS = 30_000;
const POLL_MS = 50;
const USER = "test";
const run = promisify(execFile);

/** Why what needs PostgreSQL is skipped here; false where it can run. */
export const NO_POSTGRES: string | false =
  !existsSync(join(BIN, "postgres")) && "PostgreSQL is not installed (npm run setup)";

export interface PostgresServer extends AsyncDisposable {
  readonly user: string;
  /** Where its socket is; clients take it for a host. */
  readonly folder: string;
  /** Runs statements through psql, as a superuser. */
  sql(database: string, statements: string): Promise<string>;
  /** Makes an empty database. @returns its URL; `options` are settings of each session, `a=b` */
  createDatabase(name: string, options?: readonly string[]): Promise<string>;
  /** As a crash: what was not synced is lost, connections break. */
  crash(): Promise<void>;
  start(): Promise<void>;
}

/**
 * A PostgreSQL of its own in a temporary folder, with the durability that it has by default. It has a socket in that
 * folder, and a TCP port on loopback only where `port` is given.
 */
export async function startPostgresServer(
  options: { readonly connections?: number; readonly port?: number } = {},
): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-pg-"));
  const user = serverUser();
  if (user) chownSync(folder, user.uid, user.gid);
  const data = join(folder, "data");
  const flags = ["-D", data, "-A", "trust", "-U", USER, "-E", "UTF8"];
  execFileSync(join(BIN, "initdb"), flags, { ...user, stdio: "ignore" });
  const { connections = 64, port } = options;
  const address = ["-h", port === undefined ? "" : "127.0.0.1", "-p", String(port ?? 5432)];
  const args = ["-D", data, "-k", folder, "-N", String(connections), ...address];
  const client = ["-h", folder, "-p", String(port ?? 5432), "-U", USER];
  let server: ChildProcess | undefined;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (!server) return;
    const ended = once(server, "exit");
    server.kill(signal);
    await ended;
    server = undefined;
  };
  const start = async (): Promise<void> => {
    server = spawn(join(BIN, "postgres"), args, { ...user, stdio: "ignore" });
    await untilUp(client);
  };
  const sql = async (database: string, statements: string): Promise<string> => {
    const command = [...client, "-d", database, "-v", "ON_ERROR_STOP=1", "-qAtc", statements];
    return (await run(join(BIN, "psql"), command)).stdout.trim();
  };
  await start();
  return {
    user: USER,
    folder,
    sql,
    createDatabase: async (name, settings = []) => {
      await sql("postgres", `create database ${name}`);
      const flag = settings.map((setting) => `-c ${setting}`).join(" ");
      const query = new URLSearchParams({ host: folder, port: String(port ?? 5432) });
      if (flag !== "") query.set("options", flag);
      return `postgres://${USER}@/${name}?${query.toString().replaceAll("+", "%20")}`;
    },
    crash: () => stop("SIGQUIT"),
    start,
    [Symbol.asyncDispose]: async () => {
      await stop("SIGINT");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** PostgreSQL refuses to run as root. */
function serverUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  return { uid: postgresId("-u"), gid: postgresId("-g") };
}

function postgresId(flag: "-u" | "-g"): number {
  return Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
}

async function untilUp(client: readonly string[]): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;)
    try {
      // oxlint-disable-next-line no-await-in-loop -- one question after the other
      await run(join(BIN, "pg_isready"), [...client, "-d", "postgres"]);
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      // oxlint-disable-next-line no-await-in-loop -- one question after the other
      await sleep(POLL_MS);
    }
}

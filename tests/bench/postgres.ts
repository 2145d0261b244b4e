import { NO_POSTGRES, startPostgresServer } from "@redoubt/testkit";
import { Pool } from "pg";
import { freeBasePort } from "../e2e/free-ports.ts";

export function postgresIsInstalled(): boolean {
  return NO_POSTGRES === false;
}

export interface Postgres extends AsyncDisposable {
  readonly pool: Pool;
}

/** A PostgreSQL of its own, over TCP on loopback, and a pool of connections to it. */
export async function startPostgres(connections: number): Promise<Postgres> {
  const port = await freeBasePort();
  const server = await startPostgresServer({ port, connections: connections + 8 });
  const pool = new Pool({
    host: "127.0.0.1",
    port,
    user: server.user,
    database: "postgres",
    max: connections,
  });
  pool.on("error", () => undefined);
  return {
    pool,
    [Symbol.asyncDispose]: async () => {
      await pool.end();
      await server[Symbol.asyncDispose]();
    },
  };
}

// Loaded where a URL of PostgreSQL is configured, and nowhere else.
import {
  CamelCasePlugin,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
} from "kysely";
import { Client, DatabaseError, Pool, types } from "pg";
import { StoreError } from "../errors.ts";
import type { Engine, Failure } from "./database.ts";
import { PostgresDriver } from "./postgres-driver.ts";
import type { Tables } from "./tables.ts";

const CONNECTIONS = 10;
const CONNECT_MS = 5000;
const QUERY_MS = 15_000;
const INT8 = 20;
/** Any number, the same in every process that migrates. */
const MIGRATION_LOCK = 5_706_351;
const UNIQUE = "23505";
const FOREIGN_KEY = "23503";
/** Not null, check; and of class 22 whatever cannot be a value of its column. */
const VALUE = /^(?:23502|23514|22...)$/;
/** serialization_failure, deadlock_detected: nothing of the transaction happened. */
const RETRY: readonly string[] = ["40001", "40P01"];

/** @throws StoreError `ERR_STORE_UNSAFE`, `ERR_STORE_IO` */
export async function openPostgresEngine(url: string): Promise<Engine> {
  checkCarried(url);
  const pool = new Pool({
    connectionString: url,
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: QUERY_MS,
    keepAlive: true,
    application_name: "redoubt",
    types: { getTypeParser },
  });
  // A connection that breaks is an event of its own, idle or not; without a listener it would end the process.
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  const kysely = new Kysely<Tables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new PostgresDriver(pool),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
    plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })],
  });
  try {
    await checkDurable(kysely);
  } catch (cause) {
    await kysely.destroy();
    if (cause instanceof StoreError) throw cause;
    throw new StoreError("ERR_STORE_IO", "Cannot reach PostgreSQL", { cause });
  }
  return {
    kysely,
    types: { bytes: "bytea", integer: "bigint", tableSuffix: "" },
    locksRows: true,
    lockMigrations: async (transaction) => {
      await sql`select pg_advisory_xact_lock(${sql.lit(MIGRATION_LOCK)})`.execute(transaction);
    },
    classify,
    backup: () =>
      Promise.reject(
        new StoreError(
          "ERR_STORE_UNSUPPORTED",
          "PostgreSQL is backed up by pg_dump, not from here",
        ),
      ),
  };
}

// THREAT-34: what is read and written are people's names and live sessions, and the password comes first.
function checkCarried(url: string): void {
  const { host, ssl } = new Client({ connectionString: url });
  if (/^(?:localhost|127(?:\.\d+){3}|::1|\[::1\]|\/.*)$/.test(host)) return;
  const tls: unknown = ssl;
  const isVerified =
    typeof tls === "object" ? Reflect.get(tls ?? {}, "rejectUnauthorized") !== false : tls === true;
  if (!isVerified)
    throw new StoreError(
      "ERR_STORE_UNSAFE",
      "PostgreSQL on another machine is reached by TLS with a verified certificate only: sslmode=verify-full",
    );
}

// P12: a promise that resolves says that the change survives a power cut. Settings that a cluster does not know are null.
async function checkDurable(kysely: Kysely<Tables>): Promise<void> {
  const { rows } = await sql<{ commit: string | null; fsync: string | null }>`
    select current_setting('synchronous_commit', true) as commit, current_setting('fsync', true) as fsync
  `.execute(kysely);
  const [settings] = rows;
  for (const [name, value] of [
    ["synchronous_commit", settings?.commit],
    ["fsync", settings?.fsync],
  ] satisfies (readonly [string, unknown])[])
    if (value === "off") throw new StoreError("ERR_STORE_UNSAFE", `PostgreSQL has ${name} = off`);
}

/** All our numbers are whole and below 2^53; the default would make each a string. */
function getTypeParser(oid: number, format?: "text" | "binary"): (text: string) => unknown {
  return oid === INT8 ? Number : types.getTypeParser(oid, format);
}

function classify(cause: unknown): Failure {
  const isCoded = cause instanceof DatabaseError;
  const code = (isCoded && cause.code) || "";
  const constraint = (isCoded && cause.constraint) || "";
  if (RETRY.includes(code)) return { kind: "retry", constraint };
  if (code === UNIQUE) return { kind: "unique", constraint };
  if (code === FOREIGN_KEY) return { kind: "reference", constraint };
  return { kind: VALUE.test(code) ? "value" : "io", constraint };
}

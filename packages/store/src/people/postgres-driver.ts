import type { CompiledQuery, DatabaseConnection, Driver, QueryResult } from "kysely";
import { DatabaseError, type Pool, type PoolClient } from "pg";
import { checkParameters, isRows } from "./database.ts";

/** Connections of one pool. One on which anything but an answer of the server came is not used again. */
export class PostgresDriver implements Driver {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  init(): Promise<void> {
    return Promise.resolve();
  }

  async acquireConnection(): Promise<PostgresConnection> {
    return new PostgresConnection(await this.#pool.connect());
  }

  releaseConnection(connection: PostgresConnection): Promise<void> {
    connection.release();
    return Promise.resolve();
  }

  // Whatever a role's default is: each change that must see no other takes its lock.
  async beginTransaction(connection: PostgresConnection): Promise<void> {
    await connection.command("begin");
  }

  /** After a statement that failed, PostgreSQL answers a commit with a rollback, and calls it no error. */
  async commitTransaction(connection: PostgresConnection): Promise<void> {
    if ((await connection.command("commit")) !== "COMMIT")
      throw new Error("PostgreSQL did not commit");
  }

  /** Never fails: what it was called for is what its caller must learn. */
  async rollbackTransaction(connection: PostgresConnection): Promise<void> {
    await connection.command("rollback").catch(() => connection.abandon());
  }

  destroy(): Promise<void> {
    return this.#pool.end();
  }
}

class PostgresConnection implements DatabaseConnection {
  readonly #client: PoolClient;
  #isBroken = false;

  constructor(client: PoolClient) {
    this.#client = client;
  }

  release(): void {
    this.#client.release(this.#isBroken);
  }

  abandon(): void {
    this.#isBroken = true;
  }

  /** @returns what was done, in the server's word */
  async command(text: string): Promise<string> {
    return (await this.#query(text, [])).command;
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    checkParameters(parameters);
    const { rows, rowCount } = await this.#query(sql, parameters);
    if (!isRows<R>(rows)) throw new TypeError("Rows are a list");
    return { rows, numAffectedRows: BigInt(rowCount ?? 0) };
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    yield await this.executeQuery<R>(query);
  }

  /** Unnamed statements: named ones belong to a session, which a pooler in between gives to somebody else. */
  async #query(
    text: string,
    parameters: readonly unknown[],
  ): Promise<{ rows: unknown; rowCount: number | null; command: string }> {
    try {
      const { rows, rowCount, command } = await this.#client.query(text, [...parameters]);
      return { rows, rowCount, command };
    } catch (error) {
      if (!(error instanceof DatabaseError)) this.abandon();
      throw error;
    }
  }
}

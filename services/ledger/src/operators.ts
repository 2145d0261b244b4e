import {
  isSignedBy,
  operatorNamedBy,
  parseStatement,
  verifyStatementAuthor,
  type Statement,
} from "@redoubt/registry";
import { KeyError } from "@redoubt/keys";
import type { VerifierKey } from "@redoubt/tlog";
import { splitStatement } from "./bodies.ts";
import { historyError } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Store } from "./store.ts";

const PAGE = 256;

/**
 * The pinned first operator, and all that the registry's roots ever named. Which of them speaks now, the fold decides;
 * the ledger only keeps out statements that none of them signed. A root may be signed by the operator that it names.
 */
export class Operators {
  readonly #store: Pick<Store, "bodies">;
  readonly #registry: Log;
  readonly #first: VerifierKey;
  readonly #keys: VerifierKey[];
  /** Entries of the registry that were looked through. */
  #read = 0;

  constructor(store: Pick<Store, "bodies">, registry: Log, first: VerifierKey) {
    this.#store = store;
    this.#registry = registry;
    this.#first = first;
    this.#keys = [first];
  }

  /** @throws KeyError `ERR_STATEMENT_AUTHOR` */
  verifyAuthor(statement: Statement, bytes: Uint8Array, envelope: Uint8Array): void {
    const isKnown = () => this.#keys.some((key) => isSignedBy(bytes, envelope, key));
    if (isKnown()) return;
    this.#readOn();
    if (isKnown()) return;
    const named = namedBy(statement);
    if (named && isSignedBy(bytes, envelope, named)) return;
    verifyStatementAuthor(bytes, envelope, this.#first);
  }

  #readOn(): void {
    while (this.#read < this.#registry.size) {
      const rows = this.#store.bodies(this.#registry.origin, this.#read, PAGE);
      if (rows[0]?.first !== this.#read)
        throw historyError(`Registry entry ${this.#read} is missing`);
      for (const { blobs } of rows) {
        this.#learn(parseStatement(splitStatement(blobs).statement));
      }
      this.#read += rows.length;
    }
  }

  #learn(statement: Statement): void {
    const named = namedBy(statement);
    if (named && !this.#keys.some((key) => key.publicKey.equals(named.publicKey)))
      this.#keys.push(named);
  }
}

/** Nobody for a root that cannot be read: for every fold it is void, and here it must not end the reading. */
function namedBy(statement: Statement): VerifierKey | undefined {
  if (statement.type !== "root") return undefined;
  try {
    return operatorNamedBy(statement);
  } catch (error) {
    if (error instanceof KeyError) return undefined;
    throw error;
  }
}

import { join } from "node:path";
import { nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import { openAuthorKey, type Authorship } from "@redoubt/custody";
import {
  operatorNamedBy,
  Registry,
  RegistryReader,
  signStatement,
  type RegistryItem,
  type SignedStatement,
  type StatementBody,
  type StatementSigner,
} from "@redoubt/registry";
import { KeyError } from "@redoubt/keys";
import { parseVerifierKey, type VerifierKey } from "@redoubt/tlog";
import {
  ask,
  ISSUER,
  LEDGER,
  readSocketSecret,
  SIGNER,
  SocketClient,
  socketPlace,
} from "@redoubt/wire";
import type { CommandContext } from "./command.ts";
import { REALMS, REGISTRY_LOG, type ServiceName } from "./layout.ts";
import { enterRunning, type Place } from "./running.ts";
import { realmNames, type Settings } from "./settings.ts";
import { lookUntil } from "./wait.ts";

/** Work on a running system, as its operator. */
export async function withOperator<T>(
  { folder }: Pick<CommandContext, "folder">,
  work: (operator: Operator, place: Place) => Promise<T>,
): Promise<T> {
  const place = await enterRunning(folder);
  await using operator = new Operator("", place.settings);
  return await work(operator, place);
}

/** @throws ServiceError `ERR_OPTION` that lists the realms */
export function checkRealm({ realms }: Pick<Operator, "realms">, realm: string): void {
  if (!realms.includes(realm))
    throw new ServiceError(
      "ERR_OPTION",
      `No signer of realm ${realm} is here: realms are ${realms.join(", ")}`,
    );
}

/**
 * File of the first operator key, below the data folder; later ones, which roots name, have a number
 * (`operator-2.key`).
 */
export const OPERATOR_KEY = "up/operator.key";

/** A signed statement; for a client's, also the credentials document that it names by hash. */
type Said = SignedStatement & { readonly credentials: Buffer | undefined };

const CATCH_UP = { timeoutMs: 10_000, pollMs: 20 };

/**
 * The operator of one running system: connections to its services, and the registry as proven from the log.
 * Every change is a statement signed with the operator key; the ledger only keeps it.
 */
export class Operator implements AsyncDisposable {
  /** The data folder; "" where it is the working directory. */
  readonly folder: string;
  /** Every realm that has a signer here. */
  readonly realms: readonly string[];
  readonly #connectTimeoutMs: number;
  readonly #timeoutMs: number;
  readonly #operatorKey: VerifierKey;
  readonly #items: RegistryItem[] = [];
  readonly #clients = new Map<string, SocketClient>();
  readonly #reader: RegistryReader;

  /**
   * `connectTimeoutMs`: how long a service may take to listen; only `up` has reason to wait for one. `timeoutMs`: to
   * answer.
   */
  constructor(
    folder: string,
    settings: Settings,
    { connectTimeoutMs = 3000, timeoutMs = 15_000 } = {},
  ) {
    this.folder = folder;
    this.realms = realmNames(settings);
    this.#connectTimeoutMs = connectTimeoutMs;
    this.#timeoutMs = timeoutMs;
    this.#operatorKey = parseVerifierKey(settings.operator);
    this.#reader = new RegistryReader({
      client: this.client("ledger"),
      log: REGISTRY_LOG,
      logKey: parseVerifierKey(settings.registryKey),
      operator: this.#operatorKey,
      onItem: (item) => this.#items.push(item),
    });
  }

  /** The registry as it was read last; empty before `readRegistry`. */
  get registry(): Registry {
    return this.#reader.registry;
  }

  /** The connection to a service, as `caller`; opened on first use. */
  client(service: ServiceName, caller = "operator"): SocketClient {
    const name = `${service}/${caller}`;
    const open = this.#clients.get(name);
    if (open) return open;
    const place = socketPlace(this.folder, service, caller);
    const client = new SocketClient({
      path: place.path,
      secret: readSocketSecret(place),
      timeoutMs: this.#timeoutMs,
      connectTimeoutMs: this.#connectTimeoutMs,
    });
    this.#clients.set(name, client);
    return client;
  }

  /** Brings the fold up to the registry's newest entry. */
  async readRegistry(): Promise<Registry> {
    await this.#reader.poll();
    return this.registry;
  }

  /**
   * Signs a statement, appends it to the registry and reads it back. `credentials` is the document that a client's
   * statement
   * names by hash. Returns the index of the entry.
   *
   * @throws ServiceError `ERR_REGISTRY_VOID` with the reason when the registry would not take it; nothing is appended
   */
  async state(body: StatementBody, credentials?: Buffer): Promise<number> {
    await this.readRegistry();
    const signed = signStatement(body, this.#signerOf(body), nowSeconds(systemClock));
    return await this.#append({ ...signed, credentials });
  }

  /**
   * Whose key signs a statement. A root that names the next operator is signed by that one: the key before may be lost.
   */
  #signerOf(body: StatementBody): StatementSigner {
    const { operator: current, formerOperators: former } = this.registry;
    const named = body.type === "root" ? operatorNamedBy(body) : undefined;
    if (named && !named.publicKey.equals(current.publicKey)) {
      return this.#open({ current: named, former: [...former, current] });
    }
    return this.#open({ current, former });
  }

  #open(authorship: Authorship): StatementSigner {
    try {
      const { privateKey } = openAuthorKey(join(this.folder, OPERATOR_KEY), authorship);
      return { name: authorship.current.name, privateKey };
    } catch (cause) {
      if (!(cause instanceof KeyError)) throw cause;
      throw new ServiceError(
        "ERR_OPERATOR_KEY",
        "No operator key: restore it from a backup, or let a root name another with redoubt recover operator",
        { cause },
      );
    }
  }

  /** As `state`; returns the signed statement, to be shown to a process that does not follow the registry. */
  async stateSigned(body: StatementBody): Promise<SignedStatement> {
    const index = await this.state(body);
    const { entry, statement, envelope } = this.#items[index] ?? {};
    if (!entry || !statement || !envelope)
      throw new TypeError("A statement that was read has its body");
    return {
      entry: Buffer.from(entry),
      statement: Buffer.from(statement),
      envelope: Buffer.from(envelope),
    };
  }

  async #append({ entry, ...said }: Said): Promise<number> {
    this.#rehearse({ entry, ...said });
    const asked = { log: REGISTRY_LOG, ...said };
    const { index } = await ask(this.client("ledger"), LEDGER.append, asked);
    await this.readRegistry();
    const taken = this.#items[index];
    if (!taken || !entry.equals(taken.entry))
      throw new ServiceError("ERR_REGISTRY", `Registry does not show the statement at ${index}`);
    return index;
  }

  /**
   * Resolves when a realm's signer, and its issuer where it has one, have read as much of the registry as this operator: from then on what was
   * said holds for every request.
   *
   * @throws ServiceError `ERR_REALM_BEHIND`, WireError
   */
  async realmCaughtUp(realm: string): Promise<void> {
    const own = REALMS.find((name) => name === realm);
    const size = await lookUntil(
      async () => {
        const parts = await Promise.all([
          ask(this.client(`signer-${realm}`), SIGNER.metadata, {}),
          ...(own ? [ask(this.client(`issuer-${own}`), ISSUER.status, {})] : []),
        ]);
        return Math.min(...parts.map(({ registrySize }) => registrySize));
      },
      (read) => read >= this.registry.size,
      CATCH_UP,
    );
    if (size < this.registry.size)
      throw new ServiceError(
        "ERR_REALM_BEHIND",
        `The registry has it, but ${realm} has not read it yet: redoubt status says why`,
      );
  }

  /**
   * Applies the statement to a copy of the registry first: a void entry would stay in the log for ever and raise an
   * alarm.
   */
  #rehearse(said: Said): void {
    const rehearsal = new Registry({ operator: this.#operatorKey });
    for (const item of this.#items) rehearsal.apply(item);
    const result = rehearsal.apply({ index: this.#items.length, ...said });
    if (result.kind === "void") throw new ServiceError("ERR_REGISTRY_VOID", result.reason);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients.values()) await client[Symbol.asyncDispose]();
  }
}

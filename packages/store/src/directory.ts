import { StoreError } from "./errors.ts";
import type { Client, Tenant } from "./records.ts";
import type { ClientRepository, TenantRepository } from "./repositories.ts";

export interface DirectoryLimits {
  readonly tenants: number;
  readonly clients: number;
}

const DEFAULT_LIMITS: DirectoryLimits = { tenants: 100_000, clients: 100_000 };

interface Repositories {
  readonly tenants: TenantRepository;
  readonly clients: ClientRepository;
}

/**
 * All tenants and clients in memory, written through: a token request asks no database.
 * One process writes a store, so that nothing can change behind this copy.
 */
export class Directory {
  readonly #store: Repositories;
  readonly #limits: DirectoryLimits;
  readonly #tenants = new Map<string, Tenant>();
  readonly #clients = new Map<string, Client>();
  // Puts check what is stored and then change it: one at a time.
  #last: Promise<unknown> = Promise.resolve();

  private constructor(store: Repositories, limits: DirectoryLimits) {
    this.#store = store;
    this.#limits = limits;
  }

  static async open(
    store: Repositories,
    limits: Partial<DirectoryLimits> = {},
  ): Promise<Directory> {
    const directory = new Directory(store, { ...DEFAULT_LIMITS, ...limits });
    for (const tenant of await store.tenants.all()) directory.#tenants.set(tenant.tenant, tenant);
    for (const client of await store.clients.all()) directory.#clients.set(keyOf(client), client);
    return directory;
  }

  tenant(tenant: string): Tenant | undefined {
    return this.#tenants.get(tenant);
  }

  client(tenant: string, client: string): Client | undefined {
    return this.#clients.get(keyOf({ tenant, client }));
  }

  tenants(): readonly Tenant[] {
    return [...this.#tenants.values()];
  }

  clients(tenant?: string): readonly Client[] {
    const all = [...this.#clients.values()];
    return tenant === undefined ? all : all.filter((client) => client.tenant === tenant);
  }

  counts(): { readonly tenants: number; readonly clients: number } {
    return { tenants: this.#tenants.size, clients: this.#clients.size };
  }

  /** @throws StoreError `ERR_STORE_STALE`, `ERR_STORE_CONFLICT`, `ERR_STORE_FULL`, `ERR_STORE_IO` */
  putTenant(tenant: Tenant): Promise<void> {
    return this.#inTurn(async () => {
      const stored = this.#tenants.get(tenant.tenant);
      requireNewer(stored, tenant);
      requireRoom(stored, this.#tenants.size, this.#limits.tenants);
      for (const { client } of this.#clients.values())
        if (tenant.audiences.includes(client)) throw conflict("An audience is some client's id");
      await this.#store.tenants.put(tenant);
      this.#tenants.set(tenant.tenant, tenant);
    });
  }

  /** @throws StoreError `ERR_STORE_STALE`, `ERR_STORE_CONFLICT`, `ERR_STORE_FULL`, `ERR_STORE_IO` */
  putClient(client: Client): Promise<void> {
    return this.#inTurn(async () => {
      const stored = this.#clients.get(keyOf(client));
      requireNewer(stored, client);
      requireRoom(stored, this.#clients.size, this.#limits.clients);
      this.#requireAudiences(client);
      await this.#store.clients.put(client);
      this.#clients.set(keyOf(client), client);
    });
  }

  // ARCHITECTURE §5.2: stock clients ignore typ, so an API's audience must never be some client's id.
  #requireAudiences({ tenant, client, audiences }: Client): void {
    const owner = this.#tenants.get(tenant);
    if (!owner) throw conflict("Tenant is not registered");
    if (!audiences.every((audience) => owner.audiences.includes(audience)))
      throw conflict("An audience is not one of the tenant's");
    for (const other of this.#tenants.values())
      if (other.audiences.includes(client)) throw conflict("Client id is some tenant's audience");
  }

  #inTurn(put: () => Promise<void>): Promise<void> {
    const result = this.#last.then(put);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

function keyOf({ tenant, client }: Pick<Client, "tenant" | "client">): string {
  // A tenant is a uuid of fixed length, so that no two pairs share a key.
  return `${tenant}/${client}`;
}

// An old statement that somebody kept must not undo a newer one.
function requireNewer(
  stored: { readonly statement?: number | undefined } | undefined,
  { statement = Number.MAX_SAFE_INTEGER }: { readonly statement?: number | undefined },
): void {
  const { statement: newest = 0 } = stored ?? {};
  if (statement < newest)
    throw new StoreError(
      "ERR_STORE_STALE",
      `Statement ${statement} is older than statement ${newest}`,
    );
}

function requireRoom(stored: object | undefined, size: number, limit: number): void {
  if (!stored && size >= limit) throw new StoreError("ERR_STORE_FULL", `Store holds ${limit}`);
}

function conflict(message: string): StoreError {
  return new StoreError("ERR_STORE_CONFLICT", message);
}

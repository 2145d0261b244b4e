import type { Client, Tenant } from "./records.ts";

/**
 * What an engine must offer; asynchronous, so that a networked database can stand behind it.
 * Each method is durable when its promise resolves.
 */
export interface TenantRepository {
  all(): Promise<readonly Tenant[]>;
  put(tenant: Tenant): Promise<void>;
}

export interface ClientRepository {
  all(): Promise<readonly Client[]>;
  put(client: Client): Promise<void>;
}

export interface ReplayRepository {
  /**
   * Takes a one-time value that is worthless from `expiresSeconds` on.
   *
   * @param key 32 bytes, a digest: the size of what a client sends must not matter here
   * @returns whether this is its first use; a value that may have been forgotten since counts as used
   * @throws StoreError `ERR_STORE_FULL`, `ERR_STORE_IO`: the use must then be refused
   */
  use(key: Uint8Array, expiresSeconds: number): Promise<boolean>;
}

export interface Store extends Disposable {
  /** Writes a copy as of one moment to a new file, while work goes on; what stands there is replaced. */
  backup(path: string): Promise<void>;
  readonly tenants: TenantRepository;
  readonly clients: ClientRepository;
  readonly replay: ReplayRepository;
}

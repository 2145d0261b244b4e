/** A one-time value. */
export interface OneTimeValue {
  /** 32 bytes, a digest: the size of what a client sends must not matter here. */
  readonly key: Uint8Array;
  /** Whose share it counts for; one of a bounded number, for each may have some. */
  readonly owner: string;
  /** It is worthless from this second on. */
  readonly expiresSeconds: number;
}

/**
 * Which one-time values were used. Asynchronous, so that a networked database can stand behind it: what a promise
 * answers is durable when it resolves.
 */
export interface ReplayRepository {
  /**
   * @returns whether this is its first use; a value that the store may have forgotten counts as used
   * @throws StoreError `ERR_STORE_FULL`, `ERR_STORE_SHARE`, `ERR_STORE_IO`: the use must then be refused
   */
  use(value: OneTimeValue): Promise<boolean>;
}

/** An entry of the registry, with the bodies that this realm's issuer was shown. */
export interface KeptEntry {
  readonly index: number;
  readonly entry: Uint8Array;
  readonly statement?: Uint8Array | undefined;
  readonly envelope?: Uint8Array | undefined;
  readonly credentials?: Uint8Array | undefined;
}

/**
 * What this process has read of the registry. It is kept so that a ledger cannot take back what it has shown, for
 * instance by showing an older copy of the registry. Synchronous: the database is this process's alone.
 */
export interface RegistryRepository {
  /** In order, from this place on. @throws StoreError `ERR_STORE_CORRUPT` */
  all(from?: number): Iterable<KeptEntry>;
  /** The tree to which the last `put` led; `clear` does not change it. Undefined where nothing was ever put. */
  head(): { readonly size: number; readonly root: Buffer } | undefined;
  /** Adds entries, which lead to the tree `head`: all of them or none. @throws StoreError `ERR_STORE_IO` */
  put(entries: readonly KeptEntry[], head: { readonly size: number; readonly root: Buffer }): void;
  /** Forgets the entries but keeps their `head`. @throws StoreError `ERR_STORE_IO` */
  clear(): void;
}

export interface Store extends Disposable {
  /** Writes a copy as of one moment to a new file, while work goes on; what stands there is replaced. */
  backup(path: string): Promise<void>;
  readonly replay: ReplayRepository;
  readonly registry: RegistryRepository;
}

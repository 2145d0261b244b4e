/**
 * What an engine must offer; asynchronous, so that a networked database can stand behind it.
 * Each method is durable when its promise resolves.
 */
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

/** An entry of the registry, with the bodies that this realm's issuer was shown. */
export interface KeptEntry {
  readonly index: number;
  readonly entry: Uint8Array;
  readonly statement?: Uint8Array | undefined;
  readonly envelope?: Uint8Array | undefined;
  readonly credentials?: Uint8Array | undefined;
}

/**
 * The registry as far as this process has read it: what an older copy of it could not show again, a ledger cannot take
 * back. It belongs to one process, so that nobody waits for it.
 */
export interface RegistryRepository {
  /** In order, from this place on. @throws StoreError `ERR_STORE_CORRUPT` */
  all(from?: number): Iterable<KeptEntry>;
  /** The tree that those entries had when they were put; undefined where there are none. */
  head(): { readonly size: number; readonly root: Buffer } | undefined;
  /** Adds entries, which lead to this tree: all of them or none. @throws StoreError `ERR_STORE_IO` */
  put(entries: readonly KeptEntry[], head: { readonly size: number; readonly root: Buffer }): void;
  /** Forgets the entries, and not the tree that they had. @throws StoreError `ERR_STORE_IO` */
  clear(): void;
}

export interface Store extends Disposable {
  /** Writes a copy as of one moment to a new file, while work goes on; what stands there is replaced. */
  backup(path: string): Promise<void>;
  readonly replay: ReplayRepository;
  readonly registry: RegistryRepository;
}

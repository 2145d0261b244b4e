import { errorCode, type Clock } from "@redoubt/base";
import {
  RegistryReader,
  type ClientInfo,
  type RegistryItem,
  type TenantStatement,
} from "@redoubt/registry";
import type { RegistryRepository } from "@redoubt/store";
import type { TreeHead, VerifierKey } from "@redoubt/tlog";
import type { Requester } from "@redoubt/wire";
import { OAuthError } from "./errors.ts";
import type { IssuerEvents } from "./events.ts";

export interface RealmRegistryOptions {
  readonly realm: string;
  readonly client: Requester;
  /** Origin of the registry. */
  readonly log: string;
  readonly logKey: VerifierKey;
  readonly operator: VerifierKey;
  readonly store: RegistryRepository;
  readonly clock: Pick<Clock, "monotonic">;
  readonly events: IssuerEvents;
  /** Something was read that the signer may not have read yet. */
  readonly onNews: () => void;
}

const RETRY_MS = 250;
/** If the signer has read further than this process for this long, the ledger keeps something from this process. */
const BEHIND_MS = 10_000;
/** How long a request waits for the signer to read what this process has read already. */
const CATCH_UP_MS = 2000;

/**
 * The tenants and clients of one realm, as the registry has them. The ledger that hands them out is not trusted. It can
 * neither change what was said, nor take back what this process has read once. And what the signer was shown, whose
 * reading the witness vouches for, it can keep from this process for `BEHIND_MS` at most.
 */
export class RealmRegistry implements AsyncDisposable {
  /** Resolves after the first complete reading. */
  readonly ready: Promise<void>;
  readonly #options: RealmRegistryOptions;
  readonly #reader: RegistryReader;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  readonly #resolve: () => void;
  readonly #waiting = new Set<() => void>();
  /** The largest tree that this process or an earlier one has read. */
  #kept: TreeHead | undefined;
  #unkept: RegistryItem[] = [];
  #signerSize = 0;
  #behindSince: number | undefined;
  #isRead = false;
  #isFailing = false;

  constructor(options: RealmRegistryOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#resolve = resolve;
    this.#reader = this.#open();
    this.#loop = this.#reader.follow({
      signal: this.#stop.signal,
      retryMs: RETRY_MS,
      onRead: (news) => this.#heard(news > 0),
      onFailure: (code) => this.#failed(code),
    });
  }

  /** Entries that were read. */
  get size(): number {
    return this.#reader.head.size;
  }

  /** Why nothing can be decided by it; undefined when it can. A reading that failed is no reason: see `BEHIND_MS`. */
  get problem(): "ERR_ISSUER_REGISTRY" | undefined {
    const { clock } = this.#options;
    const since = this.#behindSince;
    const isBehind = since !== undefined && clock.monotonic() - since >= BEHIND_MS;
    return !this.#isRead || isBehind ? "ERR_ISSUER_REGISTRY" : undefined;
  }

  get isAheadOfSigner(): boolean {
    return this.size > this.#signerSize;
  }

  tenant(tenant: string): TenantStatement | undefined {
    return this.#reader.registry.tenants.get(`${this.#options.realm}/${tenant}`);
  }

  client(tenant: string, client: string): ClientInfo | undefined {
    return this.#reader.registry.clients.get(`${this.#options.realm}/${tenant}/${client}`);
  }

  counts(): { readonly tenants: number; readonly clients: number } {
    const { tenants, clients } = this.#reader.registry;
    return { tenants: tenants.size, clients: clients.size };
  }

  /** The signer has read so many entries. */
  signerRead(size: number): void {
    this.#signerSize = size;
    for (const wake of this.#waiting) wake();
    this.#compare();
  }

  /** @throws OAuthError `ERR_ISSUER_REGISTRY` */
  checkUsable(): void {
    if (this.problem !== undefined) throw busy();
  }

  /**
   * Resolves once the signer has read this client's statement, too: before that it would refuse, with an alarm, what
   * the client may have. Undefined where it has. Rejects with `ERR_ISSUER_REGISTRY` after `CATCH_UP_MS`.
   */
  signerKnows({ index }: ClientInfo): Promise<void> | undefined {
    return index < this.#signerSize ? undefined : this.#untilSigner(index + 1);
  }

  async #untilSigner(size: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, CATCH_UP_MS);
    const look = (): void => {
      if (this.#signerSize >= size) resolve();
    };
    this.#waiting.add(look);
    await promise;
    this.#waiting.delete(look);
    clearTimeout(timer);
    if (this.#signerSize < size) throw busy();
  }

  #compare(): void {
    const isBehind = this.size < this.#signerSize;
    if (isBehind) this.#behindSince ??= this.#options.clock.monotonic();
    else this.#behindSince = undefined;
  }

  /**
   * A full disk keeps no news from taking effect. What could not be kept is kept with what comes next; until then a
   * restart would read it again.
   */
  #keep(items: readonly RegistryItem[], head: TreeHead): void {
    const { store, events } = this.#options;
    this.#unkept.push(...items);
    // After a damaged copy entries are read again: how far an earlier run had read is not forgotten.
    if (!this.#kept || this.#kept.size < head.size) this.#kept = head;
    try {
      store.put(this.#unkept, this.#kept);
      this.#unkept = [];
    } catch (error) {
      events.copyFailed(errorCode(error));
    }
  }

  /** Begins with what an earlier run has read. A damaged copy is read again, and must lead through the tree of then. */
  #open(): RegistryReader {
    const { store, events } = this.#options;
    this.#kept = store.head();
    try {
      return this.#resume([...store.all()]);
    } catch (error) {
      events.copyDamaged(errorCode(error));
      store.clear();
      return this.#resume([]);
    }
  }

  #resume(items: readonly RegistryItem[]): RegistryReader {
    const { events } = this.#options;
    const reader = new RegistryReader({
      ...this.#options,
      keep: (news, head) => this.#keep(news, head),
      onItem: ({ index }, result) => {
        if (result.kind === "void" && index >= items.length) events.entryVoid(index, result.code);
      },
    });
    if (this.#kept) reader.expect(this.#kept);
    reader.resume(items);
    return reader;
  }

  #failed(code: string): void {
    if (!this.#isFailing) this.#options.events.registryFailed(code);
    this.#isFailing = true;
  }

  #heard(isNew: boolean): void {
    if (this.#isFailing) this.#options.events.registryBack(this.size);
    this.#isFailing = false;
    const isFirst = !this.#isRead;
    this.#isRead = true;
    this.#resolve();
    this.#compare();
    if (isNew || isFirst) this.#options.onNews();
  }

  /** To be called once the connection is closed: otherwise it would wait for an answer. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }
}

function busy(): OAuthError {
  return new OAuthError("ERR_ISSUER_REGISTRY", "temporarily_unavailable", "Try again later", {
    retryAfterSeconds: 2,
  });
}

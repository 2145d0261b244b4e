import { errorCode, type Clock } from "@redoubt/base";
import type { Enrolments } from "@redoubt/presence";
import {
  isShownTo,
  RegistryReader,
  type ClientInfo,
  type RegistryItem,
  type TenantStatement,
} from "@redoubt/registry";
import type { RegistryRepository } from "@redoubt/store";
import type { TreeHead, VerifierKey } from "@redoubt/tlog";
import type { Requester, SignerMetadata } from "@redoubt/wire";
import { OAuthError } from "./errors.ts";
import type { IssuerEvents } from "./events.ts";

type SignerReading = Pick<SignerMetadata, "registrySize" | "issuerStatements">;

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
  /** Resolves after the first complete reading, once the signer has read the same. */
  readonly ready: Promise<void>;
  readonly #options: RealmRegistryOptions;
  #reader: RegistryReader;
  #stop = new AbortController();
  #loop: Promise<unknown> = Promise.resolve();
  readonly #resolve: () => void;
  readonly #waiting = new Set<() => void>();
  /** The largest tree that this process or an earlier one has read. */
  #kept: TreeHead | undefined;
  #unkept: RegistryItem[] = [];
  /** Where the statements stand that we were shown. */
  #shown: number[] = [];
  #signer: SignerReading | undefined;
  /** Until the signer has read no other statements for this issuer than we have. */
  #isDoubted = true;
  #behindSince: number | undefined;
  #isRead = false;
  #isFailing = false;

  constructor(options: RealmRegistryOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#resolve = resolve;
    this.#reader = this.#open();
    this.#follow();
  }

  /** Entries that were read. */
  get size(): number {
    return this.#reader.registry.size;
  }

  /** Why nothing can be decided by it; undefined when it can. */
  get problem(): "ERR_ISSUER_REGISTRY" | undefined {
    return this.#isDoubted || this.#isBehindForLong ? "ERR_ISSUER_REGISTRY" : undefined;
  }

  get #isBehindForLong(): boolean {
    const since = this.#behindSince;
    return since !== undefined && this.#options.clock.monotonic() - since >= BEHIND_MS;
  }

  /** Entries that the signer has read, as far as it has said so. */
  get #signerSize(): number {
    return this.#signer?.registrySize ?? 0;
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

  /** All of a tenant, whatever their status. */
  clientsOf(tenant: string): readonly ClientInfo[] {
    const { realm } = this.#options;
    return [...this.#reader.registry.clients.values()].filter(
      (client) => client.realm === realm && client.tenant === tenant,
    );
  }

  /** Passkeys whose approvals count or counted. */
  get enrolments(): Enrolments {
    return this.#reader.registry.enrolments;
  }

  /** Whether anybody of the realm has a passkey whose approvals count. */
  get hasEnrolment(): boolean {
    return [...this.enrolments.values()].some(
      ({ realm, removedAt }) => realm === this.#options.realm && removedAt === undefined,
    );
  }

  counts(): { readonly tenants: number; readonly clients: number } {
    const { tenants, clients } = this.#reader.registry;
    return { tenants: tenants.size, clients: clients.size };
  }

  /** What the signer has read: so many entries, and among them so many statements that are for this issuer. */
  signerRead({ registrySize, issuerStatements }: SignerReading): void {
    this.#signer = { registrySize, issuerStatements };
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

  /** THREAT-06: a ledger could keep an entry from us, or show it without its body. */
  #compare(): void {
    if (!this.#signer) return;
    const { registrySize, issuerStatements } = this.#signer;
    const isAsFar = this.size >= registrySize;
    if (isAsFar && this.#shownBefore(registrySize) === issuerStatements) {
      this.#behindSince = undefined;
      this.#isDoubted = !this.#isRead;
      if (this.#isRead) this.#resolve();
      return;
    }
    this.#behindSince ??= this.#options.clock.monotonic();
    if (!this.#isBehindForLong) return;
    this.#isDoubted = true;
    if (isAsFar) this.#readAnew();
  }

  #shownBefore(size: number): number {
    let count = this.#shown.length;
    while (count > 0 && (this.#shown[count - 1] ?? 0) >= size) count -= 1;
    return count;
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
    const { events, realm } = this.#options;
    const { signal } = this.#stop;
    this.#shown = [];
    const reader = new RegistryReader({
      ...this.#options,
      keep: (news, head) => {
        // A reading that was given up may still get its answer: then none of it counts.
        signal.throwIfAborted();
        this.#keep(news, head);
      },
      onItem: (item, result) => {
        const { index } = item;
        if (result.kind === "void" && index >= items.length) events.entryVoid(index, result.code);
        if (isShownTo(`issuer-${realm}`, item, result)) this.#shown.push(index);
      },
    });
    if (this.#kept) reader.expect(this.#kept);
    reader.resume(items);
    return reader;
  }

  #follow(): void {
    const { signal } = this.#stop;
    const loop = this.#reader.follow({
      signal,
      retryMs: RETRY_MS,
      onRead: (news) => (signal.aborted ? undefined : this.#heard(news > 0)),
      onFailure: (code) => this.#failed(code),
    });
    this.#loop = Promise.all([this.#loop, loop]);
  }

  /** What was shown without its body does not come again by itself. */
  #readAnew(): void {
    const { store, events } = this.#options;
    events.registryWithheld(this.size);
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#isRead = false;
    this.#behindSince = undefined;
    try {
      store.clear();
    } catch (error) {
      events.copyFailed(errorCode(error));
    }
    this.#unkept = [];
    this.#reader = this.#resume([]);
    this.#follow();
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

import { errorCode, nowSeconds, type Clock } from "@redoubt/base";
import { type BrokerInfo, RegistryReader } from "@redoubt/registry";
import type { SocketClient } from "@redoubt/wire";
import type { AttestationReader } from "./attestation-reader.ts";
import type { PublisherConfig } from "./config.ts";
import type { PublisherEvents } from "./events.ts";
import { buildSite } from "./site.ts";
import type { Www } from "./www.ts";

export interface FollowerOptions {
  readonly config: PublisherConfig;
  readonly client: SocketClient;
  readonly attestations: AttestationReader;
  readonly www: Www;
  readonly clock: Clock;
  readonly events: PublisherEvents;
  readonly retryMs: number;
  readonly tickMs: number;
}

/** Without a word from the ledger for this long, the site may be old: health says so, and it stays up. */
const STALE_MS = 60_000;

/**
 * Keeps the site at what the registry says. The ledger is not trusted: entries count only under the registry's
 * signed root, and only as their authors signed them. What it withholds is missing here, nothing more.
 */
export class Follower implements AsyncDisposable {
  /** Resolves after the first complete reading. */
  readonly ready: Promise<void>;
  readonly #options: FollowerOptions;
  readonly #reader: RegistryReader;
  readonly #stop = new AbortController();
  readonly #resolve: () => void;
  readonly #loop: Promise<void>;
  readonly #tick: NodeJS.Timeout;
  #heardAt: number | undefined;
  #changesAt = Number.MAX_SAFE_INTEGER;
  #issuers = 0;
  #served: ReadonlyMap<string, string> = new Map();
  /** Reads attestations. */
  #reading: Promise<void> | undefined;
  #isFailing = false;
  #isBuilt = false;

  constructor(options: FollowerOptions) {
    const { config, client, events } = options;
    this.#options = options;
    this.#reader = new RegistryReader({
      client,
      log: config.registry.log,
      logKey: config.registry.vkey,
      operator: config.operator,
      onItem: ({ index }, result) => {
        if (result.kind === "void") events.entryVoid(index, result.code);
      },
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#resolve = resolve;
    this.#tick = setInterval(() => this.#onTick(), options.tickMs).unref();
    this.#loop = this.#reader.follow({
      signal: this.#stop.signal,
      retryMs: options.retryMs,
      onRead: (count) => this.#onRead(count),
      onFailure: (code) => this.#failed(code),
    });
  }

  /** Whether the ledger was heard within `STALE_MS`. */
  get isFresh(): boolean {
    const heardAt = this.#heardAt;
    return heardAt !== undefined && this.#options.clock.monotonic() - heardAt < STALE_MS;
  }

  status() {
    return {
      registrySize: this.#reader.registry.size,
      fresh: this.isFresh,
      issuers: this.#issuers,
      keys: this.#reader.registry.keys.size,
      documents: this.#options.www.size,
      attestations: this.#options.attestations.size,
    };
  }

  async #onRead(news: number): Promise<void> {
    if (news > 0 || !this.#isBuilt) await this.#rebuild();
    this.#isBuilt = true;
    this.#heard();
  }

  #heard(): void {
    this.#heardAt = this.#options.clock.monotonic();
    if (this.#isFailing) this.#options.events.registryBack(this.#reader.registry.size);
    this.#isFailing = false;
    this.#resolve();
  }

  #failed(code: string): void {
    if (!this.#isFailing) this.#options.events.registryFailed(code);
    this.#isFailing = true;
  }

  async #rebuild(): Promise<void> {
    const { config, clock, www, events, attestations } = this.#options;
    const { tokenEndpoints, loginOrigins } = config;
    const site = buildSite({
      registry: this.#reader.registry,
      tokenEndpoints,
      loginOrigins,
      nowSeconds: nowSeconds(clock),
      attestations,
    });
    this.#changesAt = site.changesAt;
    this.#served = site.served;
    this.#readAttestations();
    this.#issuers = site.issuers;
    for (const problem of site.problems) events.issuerLeftOut(problem);
    events.siteBuilt(this.#reader.registry.size, site.issuers, this.#reader.registry.keys.size);
    await www.replace(site.documents);
  }

  async #tryRebuild(): Promise<void> {
    try {
      await this.#rebuild();
    } catch (error) {
      this.#options.events.writeFailed(errorCode(error));
    }
  }

  /** On its own: however long the ledger takes over it, keys and metadata do not wait. */
  #readAttestations(): void {
    const brokers = this.#reader.registry.grantingBrokers;
    if (this.#reading || brokers.length === 0 || this.#stop.signal.aborted) return;
    this.#reading = this.#showAttestations(brokers).finally(() => {
      this.#reading = undefined;
    });
  }

  async #showAttestations(brokers: Iterable<BrokerInfo>): Promise<void> {
    const isChanged = await this.#options.attestations.read(brokers, this.#served);
    if (isChanged) await this.#tryRebuild();
  }

  /** Keys end by time, without an entry. A damaged file and what a full disk refused are written again. */
  #onTick(): void {
    const { clock, www } = this.#options;
    if (nowSeconds(clock) < this.#changesAt && !www.isDamaged) void www.retry();
    else void this.#tryRebuild();
    this.#readAttestations();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#tick);
    await this.#options.client[Symbol.asyncDispose]();
    await this.#options.attestations[Symbol.asyncDispose]();
    await this.#loop;
    await this.#reading;
    await this.#options.www.retry();
  }
}

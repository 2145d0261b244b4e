import { scheduleUnref, type Schedule } from "./bounded-fetch.ts";
import { checkIssuers, type CheckedIssuer, type DiscoveryOptions } from "./discovery-options.ts";
import { loadIssuer, type LoadContext } from "./issuer-loader.ts";
import type { ReadKeySet } from "./key-set.ts";
import { TrustError, type TrustErrorCode } from "./trust-error.ts";
import type { TrustContext, TrustReader, TrustSource, TrustSourceStatus } from "./trust-source.ts";
import { buildKeySet, type Freshness, type TrustedKey } from "./trusted-key.ts";

const RETRY_SECONDS = 10;

/**
 * Loads keys from the metadata of issuers, when a verifier is made and then in the background. Nothing in a token
 * causes a load (P7, THREAT-09). Keys count until `maxStaleSeconds` after the last good load.
 *
 * @throws TypeError for an issuer that is malformed, unsafe or there twice
 * @example
 * fromDiscovery({ issuers: [{ issuer: "https://id.example/t1", realm: "enterprise", ring: "ring+1a2b3c4d+AS…" }] });
 */
export function fromDiscovery(options: DiscoveryOptions): TrustSource {
  const issuers = checkIssuers(options);
  const refreshSeconds = integer("refreshSeconds", options.refreshSeconds ?? 300, 10, 3600);
  const least = refreshSeconds + 1;
  const maxStaleSeconds = integer(
    "maxStaleSeconds",
    options.maxStaleSeconds ?? 3600,
    least,
    86_400,
  );
  return {
    open: async ({ now }: TrustContext): Promise<TrustReader> => {
      const reader = new DiscoveryReader(issuers, {
        now,
        refreshSeconds,
        maxStaleSeconds,
        fetch: options.fetch ?? fetch,
        allowLoopbackHttp: options.allowLoopbackHttp ?? false,
        schedule: options.schedule ?? scheduleUnref,
        random: options.random ?? Math.random,
      });
      await reader.start();
      return reader;
    },
  };
}

interface ReaderSettings extends TrustContext, Omit<LoadContext, "signal"> {
  readonly refreshSeconds: number;
  readonly maxStaleSeconds: number;
  readonly schedule: Schedule;
  readonly random: () => number;
}

/** What is known of one issuer; replaced as a whole by a good load. */
class IssuerState {
  readonly issuer: CheckedIssuer;
  readonly freshness: Freshness = { freshUntil: 0 };
  loaded: ReadKeySet = { keys: [], refusals: [], ignored: 0 };
  loadedAt: number | null = null;
  failures = 0;
  lastError: TrustErrorCode | null = null;

  constructor(issuer: CheckedIssuer) {
    this.issuer = issuer;
  }

  describe(): TrustSourceStatus {
    const { refusals, ignored } = this.loaded;
    return {
      kind: "discovery",
      issuer: this.issuer.issuer,
      ringPinned: this.issuer.trust.ring !== null,
      loadedAt: this.loadedAt,
      staleAt: this.loadedAt === null ? null : this.freshness.freshUntil,
      untrustedKeys: refusals.length,
      ignoredKeys: ignored,
      failures: this.failures,
      lastError: this.lastError,
      refusals: [...new Set(refusals)],
    };
  }
}

class DiscoveryReader implements TrustReader {
  readonly #states: readonly IssuerState[];
  readonly #settings: ReaderSettings;
  readonly #closing = new AbortController();
  #keys: ReadonlyMap<string, TrustedKey> = new Map();
  #loading: Promise<void> | undefined;
  #failuresInRow = 0;
  #cancelTimer: () => void = () => undefined;

  constructor(issuers: readonly CheckedIssuer[], settings: ReaderSettings) {
    this.#states = issuers.map((issuer) => new IssuerState(issuer));
    this.#settings = settings;
  }

  get keys(): ReadonlyMap<string, TrustedKey> {
    return this.#keys;
  }

  async start(): Promise<void> {
    await this.reload();
    for (const { issuer, loaded } of this.#states)
      if (loaded.keys.length === 0)
        throw new TrustError(
          loaded.refusals[0] ?? "ERR_KEYSET_EMPTY",
          `Discovery: ${issuer.issuer} has no key that counts`,
        );
    this.#plan();
  }

  sources(): readonly TrustSourceStatus[] {
    return this.#states.map((state) => state.describe());
  }

  reload(): Promise<void> {
    this.#loading ??= this.#loadAll().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  close(): void {
    this.#cancelTimer();
    this.#closing.abort();
  }

  async #loadAll(): Promise<void> {
    const results = await Promise.allSettled(this.#states.map((state) => this.#load(state)));
    const failure = results.find((result) => result.status === "rejected");
    this.#failuresInRow = failure === undefined ? 0 : this.#failuresInRow + 1;
    if (failure !== undefined) throw failure.reason;
  }

  async #load(state: IssuerState): Promise<void> {
    // The time before the request: an answer that was long under way is not fresher for it.
    const startedAt = this.#settings.now();
    try {
      const context = { ...this.#settings, signal: this.#closing.signal };
      const loaded = await loadIssuer(state.issuer, [state.freshness], context);
      this.#adopt(state, loaded);
      state.loadedAt = startedAt;
      state.freshness.freshUntil = startedAt + this.#settings.maxStaleSeconds * 1000;
      state.lastError = null;
    } catch (error) {
      // What was loaded before stays until it is stale: an outage of the issuer is not one of ours.
      state.failures += 1;
      if (error instanceof TrustError) state.lastError = error.code;
      throw error;
    }
  }

  /** Nothing changes if the new keys contradict those of another issuer. */
  #adopt(state: IssuerState, loaded: ReadKeySet): void {
    const others = this.#states.filter((other) => other !== state);
    const keys = buildKeySet([...others.flatMap((other) => other.loaded.keys), ...loaded.keys]);
    state.loaded = loaded;
    // Another map makes every verifier forget what it verified; so only if something changed.
    if (!isSameKeySet(keys, this.#keys)) this.#keys = keys;
  }

  #plan(): void {
    if (this.#closing.signal.aborted) return;
    const { refreshSeconds, random, schedule } = this.#settings;
    const backoff = RETRY_SECONDS * 2 ** Math.min(this.#failuresInRow - 1, 8);
    const seconds = this.#failuresInRow === 0 ? refreshSeconds : Math.min(refreshSeconds, backoff);
    // Jitter, or a fleet that was started together asks together for ever.
    const delayMs = seconds * 1000 * (0.9 + 0.1 * random());
    this.#cancelTimer = schedule(() => {
      void this.reload()
        // Kept in the status of the source; nobody waits for this load.
        .catch(() => undefined)
        .then(() => {
          this.#plan();
        });
    }, delayMs);
  }
}

function isSameKeySet(
  a: ReadonlyMap<string, TrustedKey>,
  b: ReadonlyMap<string, TrustedKey>,
): boolean {
  return a.size === b.size && [...a].every(([kid, key]) => key.isSameAs(b.get(kid)));
}

function integer(name: string, value: number, min: number, max: number): number {
  if (!Number.isSafeInteger(value) || value < min || value > max)
    throw new TypeError(`${name}: expected an integer from ${min} to ${max}`);
  return value;
}

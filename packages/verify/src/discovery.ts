import {
  checkAttestation,
  type GateContext,
  type KeyGate,
  type PassedKeys,
} from "./attestation-options.ts";
import { scheduleUnref, type Schedule } from "./bounded-fetch.ts";
import { checkIssuers, type CheckedIssuer, type DiscoveryOptions } from "./discovery-options.ts";
import { loadIssuer, type LoadContext } from "./issuer-loader.ts";
import { matchIssuer } from "./issuer-template.ts";
import type { ReadKeySet } from "./key-set.ts";
import { TrustError } from "./trust-error.ts";
import type {
  KeyRefusal,
  TrustContext,
  TrustReader,
  TrustSource,
  TrustSourceStatus,
} from "./trust-source.ts";
import { integerOption } from "./option-reader.ts";
import type { Freshness, KeysByKid, TrustedKey } from "./trusted-key.ts";

const RETRY_SECONDS = 10;
const EARLY_PAUSE_MS = 30_000;
const MAX_TOLD = 256;

/**
 * Loads keys from the metadata of issuers, when a verifier is made and then in the background. Nothing in a token of
 * Redoubt's issuers causes a load (P7, THREAT-09); an unknown kid of an issuer with a profile brings its next load
 * forward, once in 30 s at most. Keys count until `maxStaleSeconds` after the last good load.
 *
 * @throws TypeError for an issuer that is malformed, unsafe or there twice
 * @example
 * fromDiscovery({ issuers: [{ issuer: "https://id.example/t1", realm: "enterprise", ring: "ring+1a2b3c4d+AS…" }] });
 */
export function fromDiscovery(options: DiscoveryOptions): TrustSource {
  const issuers = checkIssuers(options);
  const refreshSeconds = integerOption("refreshSeconds", options.refreshSeconds ?? 300, 10, 3600);
  const least = refreshSeconds + 1;
  const maxStaleSeconds = integerOption(
    "maxStaleSeconds",
    options.maxStaleSeconds ?? 3600,
    least,
    86_400,
  );
  const attestation = checkAttestation(options.attestation, issuers);
  return {
    isProfiled: issuers.every(({ trust }) => "declaration" in trust),
    open: async ({ now }: TrustContext): Promise<TrustReader> => {
      // Loaded by those alone who ask for it.
      const Gate = attestation && (await import("./attestation.ts")).AttestationGate;
      const reader = new DiscoveryReader(issuers, {
        now,
        gateOf: (issuer, context) =>
          Gate && issuer.trust.ring ? new Gate(issuer, attestation, context) : undefined,
        refreshSeconds,
        maxStaleSeconds,
        fetch: options.fetch ?? fetch,
        allowLoopbackHttp: options.allowLoopbackHttp ?? false,
        schedule: options.schedule ?? scheduleUnref,
        random: options.random ?? Math.random,
        onAlarm: options.onAlarm,
      });
      await reader.start();
      return reader;
    },
  };
}

interface ReaderSettings extends TrustContext, Omit<LoadContext, "signal"> {
  readonly gateOf: (issuer: CheckedIssuer, context: GateContext) => KeyGate | undefined;
  readonly refreshSeconds: number;
  readonly maxStaleSeconds: number;
  readonly schedule: Schedule;
  readonly random: () => number;
  readonly onAlarm: DiscoveryOptions["onAlarm"];
}

/** One issuer: what is known of it, replaced as a whole by a good load, and when it is loaded again. */
class IssuerState {
  readonly issuer: CheckedIssuer;
  readonly #freshness: Freshness = { freshUntil: 0 };
  readonly #settings: ReaderSettings;
  readonly #closing: AbortSignal;
  readonly #onLoaded: () => void;
  readonly #told = new Set<string>();
  readonly #gate: KeyGate | undefined;
  #ignored = 0;
  /** Of the last set: what counts, and what does not. */
  #passed: PassedKeys = { keys: [], refusals: [], attestation: null };
  /** Keys of this issuer that do not count, because another issuer's ring vouches for the same kid or key. */
  conflicts: readonly KeyRefusal[] = [];
  #loadedAt: number | null = null;
  #askedAt = -Infinity;
  #failures = 0;
  #failuresInRow = 0;
  #loadError: TrustError | null = null;
  #loading: Promise<void> | undefined;
  #cancelTimer: () => void = () => undefined;

  constructor(
    issuer: CheckedIssuer,
    settings: ReaderSettings,
    { closing, onLoaded }: { readonly closing: AbortSignal; readonly onLoaded: () => void },
  ) {
    this.issuer = issuer;
    this.#settings = settings;
    this.#closing = closing;
    this.#onLoaded = onLoaded;
    this.#gate = settings.gateOf(issuer, {
      ...settings,
      signal: closing,
      onChange: (passed) => {
        this.#publish(passed);
      },
    });
  }

  get keys(): readonly TrustedKey[] {
    return this.#passed.keys;
  }

  get lastError(): TrustError | null {
    if (this.#loadError || this.keys.length > 0) return this.#loadError;
    return noKeys(this.issuer, this.#passed.refusals);
  }

  get isReady(): boolean {
    const { freshUntil } = this.#freshness;
    return this.keys.length > 0 && this.#settings.now() < freshUntil;
  }

  /** Loads now; joins a load that is under way. Rejects with a TrustError. */
  load(): Promise<void> {
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
      this.#plan();
    });
    return this.#loading;
  }

  /** As `load`, and waits for the documents of its keys, for no longer than one of them may take. */
  async loadAll(): Promise<void> {
    await this.load();
    await this.#gate?.settled();
  }

  /**
   * P7, THREAT-09: brings the next load forward. No request waits for it, and however many ask, it happens once in 30
   * s.
   */
  loadEarly(): void {
    const now = this.#settings.now();
    if (now - this.#askedAt < EARLY_PAUSE_MS) return;
    void this.load().catch(() => undefined);
  }

  stop(): void {
    this.#cancelTimer();
  }

  async #load(): Promise<void> {
    // The time before the request: an answer that takes long may be as old as that.
    const startedAt = this.#settings.now();
    this.#askedAt = startedAt;
    try {
      const context = { ...this.#settings, signal: this.#closing };
      const loaded = await loadIssuer(this.issuer, [this.#freshness], context);
      this.#tellPrivate(loaded);
      // An empty set, too: an issuer that withdraws every key means it.
      this.#ignored = loaded.ignored;
      this.#loadedAt = startedAt;
      this.#freshness.freshUntil = startedAt + this.#settings.maxStaleSeconds * 1000;
      this.#loadError = null;
      this.#failuresInRow = 0;
      this.#publish(this.#gate?.take(loaded) ?? { ...loaded, attestation: null });
    } catch (error) {
      // What was loaded before stays until it is stale: an outage of the issuer is not one of ours.
      this.#failures += 1;
      this.#failuresInRow += 1;
      if (error instanceof TrustError) this.#loadError = error;
      throw error;
    }
  }

  /** P7: no key waits for another's document; each counts as soon as its own is good. */
  #publish(passed: PassedKeys): void {
    this.#passed = passed;
    this.#onLoaded();
  }

  /** Whoever can read the set has the private key: that is an alarm. The key itself was left out by the load. */
  #tellPrivate({ refusals }: ReadKeySet): void {
    for (const { kid, code, reason } of refusals) {
      if (code !== "ERR_KEYSET_PRIVATE" || this.#told.has(String(kid))) continue;
      if (this.#told.size < MAX_TOLD) this.#told.add(String(kid));
      try {
        this.#settings.onAlarm?.({ issuer: this.issuer.issuer, kid, code, reason });
      } catch {
        // The listener's own fault must not keep keys from being loaded.
      }
    }
  }

  #plan(): void {
    if (this.#closing.aborted) return;
    const { refreshSeconds, random, schedule } = this.#settings;
    const backoff = RETRY_SECONDS * 2 ** Math.min(this.#failuresInRow - 1, 8);
    const seconds = this.#failuresInRow === 0 ? refreshSeconds : Math.min(refreshSeconds, backoff);
    // Jitter, or a fleet that was started together asks together for ever.
    const delayMs = seconds * 1000 * (0.9 + 0.1 * random());
    this.#cancelTimer();
    this.#cancelTimer = schedule(() => {
      // The failure is in the status of the source; nobody waits for this load.
      void this.load().catch(() => undefined);
    }, delayMs);
  }

  describe(): TrustSourceStatus {
    const { attestation } = this.#passed;
    const refusals = [...this.#passed.refusals, ...this.conflicts];
    const { lastError } = this;
    return {
      kind: "discovery",
      issuer: this.issuer.issuer,
      ringPinned: this.issuer.trust.ring !== null,
      loadedAt: this.#loadedAt,
      staleAt: this.#loadedAt === null ? null : this.#freshness.freshUntil,
      untrustedKeys: refusals.length,
      ignoredKeys: this.#ignored,
      failures: this.#failures,
      lastError: lastError?.code ?? null,
      lastErrorText: lastError?.message ?? null,
      refusals,
      attestation,
    };
  }
}

class DiscoveryReader implements TrustReader {
  readonly #states: readonly IssuerState[];
  readonly #closing = new AbortController();
  #keys: KeysByKid = new Map();

  constructor(issuers: readonly CheckedIssuer[], settings: ReaderSettings) {
    const parts = { closing: this.#closing.signal, onLoaded: () => this.#combine() };
    this.#states = issuers.map((issuer) => new IssuerState(issuer, settings, parts));
  }

  get keys(): KeysByKid {
    return this.#keys;
  }

  get hasProfiles(): boolean {
    return this.#states.some(({ issuer }) => "declaration" in issuer.trust);
  }

  /** Starts if any issuer has a key: one that is down takes nothing from the others, and is asked again later. */
  async start(): Promise<void> {
    const results = await Promise.allSettled(this.#states.map((state) => state.loadAll()));
    if (this.#states.some(({ keys }) => keys.length > 0)) return;
    this.close();
    for (const result of results) if (result.status === "rejected") throw result.reason;
    for (const { lastError } of this.#states) if (lastError) throw lastError;
  }

  sources(): readonly TrustSourceStatus[] {
    return this.#states.map((state) => state.describe());
  }

  isReady(issuer?: string): boolean {
    const states = this.#states.filter((state) => issuer === undefined || isOf(state, issuer));
    return states.length > 0 && states.every((state) => state.isReady);
  }

  missed(issuer: string): boolean {
    const states = this.#states.filter((state) => isOf(state, issuer));
    for (const state of states) if ("declaration" in state.issuer.trust) state.loadEarly();
    return states.length > 0 && states.every((state) => !state.isReady);
  }

  async reload(): Promise<void> {
    const results = await Promise.allSettled(this.#states.map((state) => state.loadAll()));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  close(): void {
    for (const state of this.#states) state.stop();
    this.#closing.abort();
  }

  #combine(): void {
    const keys = combineKeys(this.#states);
    // At another map the verifier drops its caches, so there is one only if something changed.
    if (!isSameKeySet(keys, this.#keys)) this.#keys = keys;
  }
}

function noKeys({ issuer }: CheckedIssuer, [why]: readonly KeyRefusal[]): TrustError {
  const reason = why ? `: ${why.reason}` : "";
  return new TrustError(
    why?.code ?? "ERR_KEYSET_EMPTY",
    `Discovery: ${issuer} has no key that counts${reason}`,
  );
}

/** Whether `said`, the `iss` of a token, is this issuer: the same text, or its template with a tenant's id in it. */
function isOf({ issuer }: IssuerState, said: string): boolean {
  return issuer.issuer === said || matchIssuer(issuer.issuer, said) !== undefined;
}

/**
 * The keys of all issuers by kid. No issuer can take another's key away: a key that a ring vouched for is the only one
 * under its kid, and keys without a ring that share a kid stand side by side, each for its own issuer. An issuer
 * without
 * a ring that serves the kid or the public key of a ring's key gets that into its `conflicts`.
 */
function combineKeys(states: readonly IssuerState[]): KeysByKid {
  const byKid = new Map<string, TrustedKey[]>();
  const ofRings = states.filter(({ issuer }) => issuer.trust.ring !== null);
  for (const key of ofRings.flatMap(({ keys }) => keys)) {
    const known = byKid.get(key.scope.kid)?.[0];
    byKid.set(key.scope.kid, [known ? known.mergedWith(key) : key]);
  }
  const pinned = new Set([...byKid.values()].flat().map((key) => key.publicKeyIdentity));
  const kids = new Set(byKid.keys());
  for (const state of states.filter((one) => !ofRings.includes(one))) {
    const conflicts = new Map<string, KeyRefusal>();
    for (const key of state.keys) {
      const { kid } = key.scope;
      const reason = "Another issuer's ring vouches for this kid or key";
      if (kids.has(kid) || pinned.has(key.publicKeyIdentity))
        conflicts.set(kid, { kid, code: "ERR_KEYSET_CONFLICT", reason });
      else byKid.set(kid, [...(byKid.get(kid) ?? []), key]);
    }
    state.conflicts = [...conflicts.values()];
  }
  return byKid;
}

function isSameKeySet(a: KeysByKid, b: KeysByKid): boolean {
  if (a.size !== b.size) return false;
  return [...a].every(([kid, keys]) => {
    const others = b.get(kid);
    return others?.length === keys.length && keys.every((key, i) => key.isSameAs(others[i]));
  });
}

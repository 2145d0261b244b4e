import type { AttestationPolicy, GateContext, KeyGate, PassedKeys } from "./attestation-options.ts";
import type { CheckedIssuer } from "./discovery-options.ts";
import { loadDocument } from "./issuer-loader.ts";
import { isJsonObject, type JsonValue } from "./json.ts";
import type { ReadKeySet } from "./key-set.ts";
import type { TrustErrorCode } from "./trust-error.ts";
import type { KeyRefusal } from "./trust-source.ts";
import type { TrustedKey } from "./trusted-key.ts";

const MAX_ATTESTATION_BYTES = 4_194_304;
/** Documents of one issuer that are loaded or checked at a time. */
const AT_ONCE = 2;
const MAX_REASON_CHARS = 256;
const HARDWARE = /^[a-z][a-z0-9-]{0,31}$/;

/** Why a key is not attested. */
type Lack = Omit<KeyRefusal, "kid">;
const PASSED = "passed";
type Outcome = typeof PASSED | Lack;

const NO_DOCUMENT = lack("ERR_ATTESTATION_MISSING", "The key names no document");
const NOT_YET = lack("ERR_ATTESTATION_FETCH", "Not loaded yet");

/**
 * Lets through the keys of one issuer whose documents satisfy the caller's check. Each document is loaded until it
 * passed once. No load of keys waits for one, and a key waits for no more than those that never were tried before it.
 */
export class AttestationGate implements KeyGate {
  readonly #policy: AttestationPolicy;
  readonly #origin: string;
  readonly #context: GateContext;
  /** By kid, which is the digest of the key's record; the one that was tried last stands last. */
  readonly #outcomes = new Map<string, Outcome>();
  readonly #busy = new Set<string>();
  readonly #workers = new Set<Promise<void>>();
  #running = 0;
  #queue: TrustedKey[] = [];
  #set: ReadKeySet | undefined;

  constructor({ jwksOrigin }: CheckedIssuer, policy: AttestationPolicy, context: GateContext) {
    this.#policy = policy;
    this.#origin = jwksOrigin;
    this.#context = { ...context, timeoutMs: policy.timeoutMs };
  }

  #passed(): PassedKeys {
    const keys: TrustedKey[] = [];
    const refusals: KeyRefusal[] = [...(this.#set?.refusals ?? [])];
    const unattested: KeyRefusal[] = [];
    for (const key of this.#set?.keys ?? []) {
      const { kid } = key.scope;
      const outcome = this.#outcomes.get(kid) ?? NOT_YET;
      const counts = outcome === PASSED || (this.#policy.mode === "prefer" && !isRefusal(outcome));
      if (counts) keys.push(key);
      if (outcome !== PASSED) (counts ? unattested : refusals).push({ kid, ...outcome });
    }
    const attestedKeys = keys.length - unattested.length;
    return { keys, refusals, attestation: { attestedKeys, unattested } };
  }

  take(set: ReadKeySet): PassedKeys {
    this.#set = set;
    const kids = new Set(set.keys.map((key) => key.scope.kid));
    for (const kid of this.#outcomes.keys()) if (!kids.has(kid)) this.#outcomes.delete(kid);
    const wanted = new Map<string, TrustedKey>();
    for (const key of set.keys) {
      const { kid } = key.scope;
      const known = this.#outcomes.get(kid);
      if (known === PASSED) continue;
      const fault = this.#faultIn(set.attestations.get(kid), kid);
      if (fault !== undefined) this.#note(kid, fault);
      else wanted.set(kid, key);
      if (fault === undefined && known === NO_DOCUMENT) this.#outcomes.delete(kid);
    }
    // A key that was never tried goes before those that failed, or they could keep it from ever being tried.
    const untried = [...wanted.keys()].filter((kid) => !this.#outcomes.has(kid));
    this.#queue = [...untried, ...this.#outcomes.keys()].flatMap((kid) => {
      const key = wanted.get(kid);
      return key && !this.#busy.has(kid) ? [key] : [];
    });
    while (this.#running < AT_ONCE && this.#queue.length > 0) {
      const worker = this.#work().finally(() => this.#workers.delete(worker));
      this.#workers.add(worker);
    }
    return this.#passed();
  }

  async settled(): Promise<void> {
    // Twice: a document is loaded, and then checked.
    await this.#endsWithin(2 * this.#policy.timeoutMs, Promise.all(this.#workers));
  }

  async #work(): Promise<void> {
    this.#running += 1;
    for (let key = this.#queue.shift(); key !== undefined; key = this.#queue.shift()) {
      const { kid } = key.scope;
      this.#busy.add(kid);
      // One after the other: documents may be large, and checks slow.
      const outcome = await this.#ask(key);
      this.#busy.delete(kid);
      if (this.#context.signal.aborted) return;
      this.#note(kid, outcome);
      this.#context.onChange(this.#passed());
    }
    this.#running -= 1;
  }

  /** A refusal stays until a document passes: with `prefer`, the key must not count because its document went away. */
  #note(kid: string, outcome: Outcome): void {
    const isRefused = isRefusal(this.#outcomes.get(kid));
    if (isRefused && outcome !== PASSED && !isRefusal(outcome)) return;
    this.#outcomes.delete(kid);
    this.#outcomes.set(kid, outcome);
  }

  #faultIn(stated: JsonValue | undefined, kid: string): Lack | undefined {
    if (stated === undefined) return NO_DOCUMENT;
    // P7, THREAT-09: one address for each key, at an origin that the configuration named; nothing else is asked.
    if (
      isJsonObject(stated) &&
      Object.keys(stated).toSorted().join() === "hardware,uri" &&
      stated["uri"] === this.#addressOf(kid) &&
      typeof stated["hardware"] === "string" &&
      HARDWARE.test(stated["hardware"])
    )
      return undefined;
    return lack(
      "ERR_ATTESTATION_REFUSED",
      `x-attestation: expected hardware and the uri ${this.#addressOf(kid)}`,
    );
  }

  #addressOf(kid: string): string {
    return `${this.#origin}/.well-known/attestation/${kid}.json`;
  }

  /** Never rejects: whatever the server sent and the check threw is a reason. */
  async #ask({ scope: { kid, realm, issuer } }: TrustedKey): Promise<Outcome> {
    let document: Uint8Array;
    try {
      const url = new URL(this.#addressOf(kid));
      document = await loadDocument(url, MAX_ATTESTATION_BYTES, this.#context);
    } catch (error) {
      return lack("ERR_ATTESTATION_FETCH", reasonOf(error));
    }
    const { check, timeoutMs } = this.#policy;
    try {
      const checked = (async (): Promise<void> => {
        const answer: unknown = await check({ kid, realm, issuer }, document);
        // A check that answers instead of throwing must not pass everything.
        if (answer === false) throw new TypeError("The check answered false");
      })();
      if (await this.#endsWithin(timeoutMs, checked)) return PASSED;
    } catch (error) {
      return lack("ERR_ATTESTATION_REFUSED", reasonOf(error));
    }
    return lack("ERR_ATTESTATION_REFUSED", `The check took longer than ${timeoutMs} ms`);
  }

  /** Whether the work ends in time, and before the source is closed. Rejects as it does. */
  async #endsWithin(timeoutMs: number, work: Promise<unknown>): Promise<boolean> {
    const { signal } = this.#context;
    const ended = new AbortController();
    const stopped = new Promise<false>((resolve) => {
      const stop = (): void => {
        resolve(false);
      };
      const timer = setTimeout(stop, timeoutMs);
      signal.addEventListener("abort", stop, { signal: ended.signal });
      ended.signal.addEventListener("abort", () => {
        clearTimeout(timer);
      });
    });
    try {
      return await Promise.race([work.then(() => true), stopped]);
    } finally {
      ended.abort();
    }
  }
}

function lack(code: TrustErrorCode, reason: string): Lack {
  return { code, reason };
}

function isRefusal(outcome: Outcome | undefined): boolean {
  return typeof outcome === "object" && outcome.code === "ERR_ATTESTATION_REFUSED";
}

/** For a log: bounded, on one line. The document's author may have a hand in the message. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "The check threw what is no Error";
  const code = "code" in error && typeof error.code === "string" ? `${error.code}: ` : "";
  return `${code}${error.message}`.replaceAll(/[^ -~]/g, "?").slice(0, MAX_REASON_CHARS);
}

import { systemClock } from "@redoubt/base";
import { readMetrics } from "@redoubt/wire";
import { REALMS, type Realm, type ServiceName } from "../layout.ts";
import type { Child } from "../up/child.ts";

export interface RealmRate {
  readonly realm: Realm;
  /** Null before there are two samples, and where the issuer says nothing that can be read. */
  readonly perMinute: number | null;
}

interface Sampled {
  readonly atMs: number;
  readonly issued: number;
}
type Issuers = ReadonlyMap<ServiceName, Pick<Child, "ask">>;

const SAMPLE_MS = 5000;
const WINDOW_MS = 60_000;
const ANSWER_MS = 1000;

/** Tokens a minute of each realm, as its issuer counts them: the last minute, in memory only. */
export class TokenRates implements Disposable {
  readonly #issuers: Issuers;
  readonly #samples = new Map<Realm, readonly Sampled[]>();
  readonly #timer: NodeJS.Timeout;

  constructor(issuers: Issuers) {
    this.#issuers = issuers;
    this.#timer = setInterval(() => void this.sample(systemClock.monotonic()), SAMPLE_MS).unref();
  }

  /** Never throws: an issuer that says anything else than it may has no rate. */
  async sample(atMs: number): Promise<void> {
    await Promise.all(
      REALMS.map(async (realm) => {
        const answer = await this.#issuers.get(`issuer-${realm}`)?.ask("metrics", ANSWER_MS);
        const issued = readIssued(answer);
        const kept = (this.#samples.get(realm) ?? []).filter((one) => one.atMs >= atMs - WINDOW_MS);
        // Counters begin again with their process; what was before says nothing any more.
        const isFresh = issued === undefined || issued < (kept.at(-1)?.issued ?? 0);
        const news = issued === undefined ? [] : [{ atMs, issued }];
        this.#samples.set(realm, [...(isFresh ? [] : kept), ...news]);
      }),
    );
  }

  get rates(): readonly RealmRate[] {
    return REALMS.map((realm) => {
      const samples = this.#samples.get(realm) ?? [];
      const [first] = samples;
      const last = samples.at(-1);
      if (!first || !last || first === last) return { realm, perMinute: null };
      const minutes = (last.atMs - first.atMs) / 60_000;
      return { realm, perMinute: Math.round((last.issued - first.issued) / minutes) };
    });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

function readIssued(answer: unknown): number | undefined {
  try {
    const samples = readMetrics("issuer", answer);
    const issued = samples.find(({ name }) => name === "redoubt_tokens_issued_total")?.value;
    return issued !== undefined && Number.isSafeInteger(issued) && issued >= 0 ? issued : undefined;
  } catch {
    return undefined;
  }
}

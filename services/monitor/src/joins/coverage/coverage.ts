import { nowSeconds, type Clock } from "@redoubt/base";
import type { Registry } from "@redoubt/registry";
import { HASH_BYTES } from "@redoubt/tlog";
import { MONITOR_LIMITS, type Answered, type Asked, type MONITOR } from "@redoubt/wire";
import { KEPT_SECONDS, type IssuedJoin } from "../issued/issued-join.ts";
import type { RunningTime } from "../../run/times.ts";
import type { CoverageStore, TokenCount, Verification } from "./coverage-store.ts";
import type { SeenDigests } from "./seen-digests.ts";

/** A token that a verifier took, as that verifier says. */
export interface SeenToken {
  readonly digest: Buffer;
  /** In whose log it is. */
  readonly realm: string;
  readonly audience: string | undefined;
  /** Seconds since the epoch. */
  readonly issuedAt: number | undefined;
}

/** What an issuer says of the tokens that it delivered. */
export type AudienceCount = NonNullable<Asked<typeof MONITOR.delivered>["audiences"]>[number];

/** docs/spec/reports.md §7. */
export interface ReportedCounts {
  readonly from: number;
  readonly sdk: string;
  readonly rows: readonly Omit<Verification, "reporter" | "sdk">[];
}

type PageQuery = Asked<typeof MONITOR.coverage>;
type Found = Answered<typeof MONITOR.find>["items"][number];

interface Page<Row> {
  readonly items: readonly Row[];
  /** `from` of the next question; null where there is no more. */
  readonly next: number | null;
}

export interface CoverageParts {
  readonly store: CoverageStore;
  readonly seen: SeenDigests;
  readonly registry: Pick<Registry, "isAudience">;
  readonly running: Pick<RunningTime, "seconds">;
  readonly clock: Pick<Clock, "now">;
}

/** The most that a clock may be ahead of this one. */
const TOLERANCE_SECONDS = 300;
const PRUNE_SECONDS = 3600;

/** How many of the tokens that were issued some verifier of ours validated (docs/spec/reports.md §7). */
export class Coverage {
  readonly #parts: CoverageParts;
  #prunedAt = -Infinity;

  constructor(parts: CoverageParts) {
    this.#parts = parts;
  }

  /** Within a transaction: so many tokens are in the realm's logs and at their clients; each is told once. */
  issued(realm: string, count: number): void {
    this.#parts.store.add(this.#now, realm, null, { issued: count });
  }

  /** Within a transaction: for which audiences delivered tokens were, as their issuer says. */
  delivered(realm: string, counts: readonly AudienceCount[]): void {
    for (const { audience, count } of counts)
      if (this.#isKnown(audience))
        this.#parts.store.add(this.#now, realm, audience, { issued: count });
  }

  /** Within a transaction: logged tokens that a verifier took, each of which counts at its first sight. */
  sighted(tokens: readonly SeenToken[]): void {
    const { store, seen, running } = this.#parts;
    const fresh = new Map<string, SeenToken>();
    for (const token of tokens)
      if (!seen.has(token.digest)) fresh.set(token.digest.toString("latin1"), token);
    for (const [realm, some] of Map.groupBy(fresh.values(), (token) => token.realm)) {
      const digests = Buffer.allocUnsafeSlow(some.length * HASH_BYTES);
      for (const [i, { digest }] of some.entries()) digest.copy(digests, i * HASH_BYTES);
      seen.add(realm, digests, running.seconds);
      for (const [first, ...rest] of Map.groupBy(some, (token) => this.#placeOf(token)).values()) {
        if (!first) continue;
        const at = this.#timeOf(first.issuedAt);
        const added = { seen: 1 + rest.length };
        store.add(at, realm, null, added);
        if (this.#isKnown(first.audience)) store.add(at, realm, first.audience, added);
      }
    }
  }

  /** Within a transaction. */
  counted(reporter: string, { from, sdk, rows }: ReportedCounts): void {
    const counts = rows.map((row) => ({ ...row, sdk }));
    this.#parts.store.count(this.#timeOf(from), reporter, counts);
  }

  tokens({ since, from }: PageQuery): Page<TokenCount> {
    return pageOf(this.#parts.store.tokens(since, MONITOR_LIMITS.coverageRows, from), from);
  }

  verifications({ since, from }: PageQuery): Page<Verification> {
    return pageOf(this.#parts.store.verifications(since, MONITOR_LIMITS.coverageRows, from), from);
  }

  /** What is known of tokens that somebody else saw, by digest. */
  find(digests: Buffer, join: Pick<IssuedJoin, "realmOf">): Found[] {
    const found: Found[] = [];
    for (let at = 0; at < digests.length; at += HASH_BYTES) {
      const digest = digests.subarray(at, at + HASH_BYTES);
      const realm = join.realmOf(digest) ?? null;
      found.push({ realm, seen: realm !== null && this.#parts.seen.has(digest) });
    }
    return found;
  }

  /** Within a transaction. */
  prune(): void {
    const { store, seen, running } = this.#parts;
    seen.prune(running.seconds - KEPT_SECONDS);
    if (running.seconds - this.#prunedAt < PRUNE_SECONDS) return;
    this.#prunedAt = running.seconds;
    store.prune(this.#now);
  }

  get #now(): number {
    return nowSeconds(this.#parts.clock);
  }

  /** Callers choose these words, so only audiences that the operator registered take a row. */
  #isKnown(audience: string | undefined): audience is string {
    return audience !== undefined && this.#parts.registry.isAudience(audience);
  }

  /** Tokens that count in the same rows. */
  #placeOf({ issuedAt, audience }: SeenToken): string {
    return `${Math.floor(this.#timeOf(issuedAt) / 3600)} ${audience ?? ""}`;
  }

  /** A time that somebody else says, if it is possible at all; otherwise now. */
  #timeOf(seconds: number | undefined): number {
    const now = this.#now;
    if (seconds === undefined) return now;
    return seconds >= now - KEPT_SECONDS && seconds <= now + TOLERANCE_SECONDS ? seconds : now;
  }
}

function pageOf<Row>(items: readonly Row[], from: number): Page<Row> {
  return { items, next: items.length < MONITOR_LIMITS.coverageRows ? null : from + items.length };
}

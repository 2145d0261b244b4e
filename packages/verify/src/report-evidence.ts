import { ExpiringMap } from "./expiring-map.ts";
import type { KeyAlgorithm } from "./public-key.ts";

/** One token that a verifier took. */
export interface Sighting {
  /** base64url SHA-256 of the signing input. */
  readonly digest: string;
  readonly kid: string;
  readonly alg: KeyAlgorithm;
  /** base64url. */
  readonly signature: string;
  /** Kept for Ed25519 only: the other signatures can be checked with the digest, and nobody needs a usable token. */
  readonly signingInput?: string;
  /** Seconds since the epoch: until when this token is one and the same sighting. Default: one hour from now. */
  readonly expiresAt?: number;
}

// docs/spec/reports.md §2.
const EVIDENCE_MS = 600_000;
const MAX_BATCH_BYTES = 200_000;
const MAX_BATCH_ITEMS = 100;

/** Signatures of the last ten minutes, by digest, for the case that the monitor misses one; bounded. */
export class EvidenceStore {
  readonly #kept: ExpiringMap<string>;
  readonly #wanted = new Set<string>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
    this.#kept = new ExpiringMap(max);
  }

  keep(sighting: Sighting, nowMs: number): void {
    const { digest, kid, alg, signature, signingInput } = sighting;
    const item =
      alg === "Ed25519" && signingInput !== undefined
        ? { digest, kid, signature, signingInput }
        : { digest, kid, signature };
    this.#kept.set(digest, JSON.stringify(item), nowMs + EVIDENCE_MS, nowMs);
  }

  /** The monitor wants these; what was never seen here, or is too old, is not answered. */
  want(digests: readonly string[]): void {
    for (const digest of digests) if (this.#wanted.size < this.#max) this.#wanted.add(digest);
  }

  /** The next body for `POST /evidence`, and what it answers; undefined if nothing is wanted. */
  nextBatch(
    nowMs: number,
  ): { readonly body: string; readonly digests: readonly string[] } | undefined {
    const items: string[] = [];
    const digests: string[] = [];
    let bytes = 0;
    for (const digest of this.#wanted) {
      const item = this.#kept.get(digest, nowMs);
      if (item === undefined) {
        this.#wanted.delete(digest);
        continue;
      }
      bytes += item.length;
      if (items.length > 0 && (bytes > MAX_BATCH_BYTES || items.length >= MAX_BATCH_ITEMS)) break;
      items.push(item);
      digests.push(digest);
    }
    return items.length === 0 ? undefined : { body: `{"v":1,"items":[${items.join()}]}`, digests };
  }

  delivered(digests: readonly string[]): void {
    for (const digest of digests) this.#wanted.delete(digest);
  }
}

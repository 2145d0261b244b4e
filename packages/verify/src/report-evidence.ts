import { ExpiringMap } from "./expiring-map.ts";
import type { KeyAlgorithm } from "./public-key.ts";
import { REPORT_LIMITS } from "./report-limits.ts";

/** One token that a verifier accepted. */
export interface Sighting {
  /** base64url SHA-256 of the signing input. */
  readonly digest: string;
  readonly kid: string;
  readonly alg: KeyAlgorithm;
  /** base64url. */
  readonly signature: string;
  /** Kept for Ed25519 only: the other signatures can be checked with the digest, and nobody needs a usable token. */
  readonly signingInput?: string;
  /**
   * Seconds since the epoch: until then, further sightings of this token are not reported again. Default: in an hour.
   */
  readonly expiresAt?: number;
  /** The token's `aud`, and `iat` in seconds since the epoch: coverage is counted by them. */
  readonly audience?: string;
  readonly issuedAt?: number;
}

// docs/spec/reports.md §2.
const EVIDENCE_MS = 600_000;
/** What an entry of a map takes beside its text. */
const ENTRY_BYTES = 256;
// Leaves room for the frame.
const MAX_BATCH_BYTES = REPORT_LIMITS.bodyBytes - 1024;

export interface EvidenceBatch {
  readonly body: string;
  readonly digests: readonly string[];
}

export const EMPTY_EVIDENCE: EvidenceBatch = { body: bodyOf([]), digests: [] };

/** Signatures of the last ten minutes, by digest, in case the monitor finds a digest in no log; bounded. */
export class EvidenceStore {
  readonly #kept: ExpiringMap<string>;
  readonly #wanted = new Set<string>();
  readonly #max: number;

  constructor(max: number, maxBytes: number) {
    this.#max = max;
    this.#kept = new ExpiringMap(max, maxBytes);
  }

  keep(sighting: Sighting, nowMs: number): void {
    const { digest, kid, alg, signature, signingInput } = sighting;
    const bare = JSON.stringify({ digest, kid, signature });
    const whole =
      alg === "Ed25519" && signingInput !== undefined
        ? JSON.stringify({ digest, kid, signature, signingInput })
        : bare;
    // What fits into no body goes without its signing input: then the monitor knows that it cannot be judged.
    const item = Buffer.byteLength(whole) <= MAX_BATCH_BYTES ? whole : bare;
    const bytes = item.length + ENTRY_BYTES;
    this.#kept.set(digest, item, { expiresAt: nowMs + EVIDENCE_MS, bytes }, nowMs);
  }

  /** The monitor wants these; what was never seen here, or is too old, is not answered. */
  want(digests: readonly string[]): void {
    for (const digest of digests) if (this.#wanted.size < this.#max) this.#wanted.add(digest);
  }

  /** The next body for `POST /evidence`, and what it answers; undefined if nothing is wanted. */
  nextBatch(nowMs: number, maxItems: number): EvidenceBatch | undefined {
    const items: string[] = [];
    const digests: string[] = [];
    let bytes = 0;
    for (const digest of this.#wanted) {
      const item = this.#kept.get(digest, nowMs);
      if (item === undefined) {
        this.#wanted.delete(digest);
        continue;
      }
      bytes += Buffer.byteLength(item) + 1;
      if (items.length > 0 && (bytes > MAX_BATCH_BYTES || items.length >= maxItems)) break;
      items.push(item);
      digests.push(digest);
    }
    return items.length === 0 ? undefined : { body: bodyOf(items), digests };
  }

  /** `answered` need not be sent again unless asked for again; `refused` is never sent again. */
  forget(answered: readonly string[], refused: readonly string[]): void {
    for (const digest of answered) this.#wanted.delete(digest);
    for (const digest of refused) this.#kept.delete(digest);
  }
}

function bodyOf(items: readonly string[]): string {
  return `{"v":1,"items":[${items.join()}]}`;
}

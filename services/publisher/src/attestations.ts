import type { Lease } from "@redoubt/lease";

/** What stands beside one key. */
export interface KeyAttestation {
  /** As docs/spec/leases.md §8 gives it: canonical JSON. */
  readonly document: string;
  /** Whose hardware vouches for the signer's machine: a platform, or `none`. */
  readonly hardware: string;
}

/** A grant, ready to be shown beside each key that it names. */
export interface ShownGrant extends KeyAttestation {
  readonly log: string;
  /** Place in this log. */
  readonly index: number;
  readonly issued: number;
}

/** Each key has a document of its own: what is served in all, in bytes. */
const MAX_BYTES = 32 * 1024 * 1024;

/** Of each key the newest grant that names it. Bounded in bytes: what is newest stays. */
export class Attestations {
  readonly #kept = new Map<string, ShownGrant>();
  readonly #maxBytes: number;
  readonly #onLeftOut: (kid: string) => void;
  #bytes = 0;
  #changes = 0;

  constructor(onLeftOut: (kid: string) => void, maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes;
    this.#onLeftOut = onLeftOut;
  }

  get size(): number {
    return this.#kept.size;
  }

  /** Grows with each change. */
  get changes(): number {
    return this.#changes;
  }

  get(kid: string): KeyAttestation | undefined {
    return this.#kept.get(kid);
  }

  put(kid: string, grant: ShownGrant): void {
    const before = this.#kept.get(kid);
    if (before && !isNewer(grant, before)) return;
    this.#delete(kid);
    this.#kept.set(kid, grant);
    this.#bytes += grant.document.length;
    this.#changes += 1;
    while (this.#bytes > this.#maxBytes) this.#leaveOutOldest();
  }

  /** Forgets the attestations of all other keys. */
  retain(kids: ReadonlyMap<string, unknown>): void {
    for (const kid of this.#kept.keys()) if (!kids.has(kid)) this.#delete(kid);
  }

  #leaveOutOldest(): void {
    const [first] = this.#kept;
    if (!first) return;
    let [oldest, { issued }] = first;
    for (const [kid, grant] of this.#kept)
      if (grant.issued < issued) [oldest, { issued }] = [kid, grant];
    this.#delete(oldest);
    this.#onLeftOut(oldest);
  }

  #delete(kid: string): void {
    const grant = this.#kept.get(kid);
    if (!grant) return;
    this.#kept.delete(kid);
    this.#bytes -= grant.document.length;
    this.#changes += 1;
  }
}

/** In one log the place decides, not what a broker says that the time was. */
function isNewer(one: ShownGrant, other: ShownGrant): boolean {
  return one.log === other.log ? one.index > other.index : one.issued > other.issued;
}

/** Leases of software TPMs prove nothing about the machine, and the label says so. */
export function hardwareOf({ hardware, platform }: Lease): string {
  return hardware ? platform : "none";
}

import { randomBytes } from "node:crypto";
import { ServiceError, TokenBucket, type Clock } from "@redoubt/base";

/** THREAT-26: what one caller can have waiting. */
const MAX_WAITING = 16;
/**
 * What one caller may ask for, of nonces and of grants alike: each may cost a verification and an entry of the log. An
 * agent asks every few minutes, and every 15 s where it fails.
 */
const LIMIT = { capacity: 32, perSecond: 0.5 };

/** THREAT-14: nonces, each for one use by the caller that asked for it, within a time. */
export class Nonces {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #validMs: number;
  /** By caller, the ends of its nonces in monotonic milliseconds. */
  readonly #waiting = new Map<string, Map<string, number>>();
  readonly #gives = new Map<string, TokenBucket>();
  readonly #grants = new Map<string, TokenBucket>();

  constructor(clock: Pick<Clock, "monotonic">, validSeconds: number) {
    this.#clock = clock;
    this.#validMs = validSeconds * 1000;
  }

  /**
   * The oldest gives way where a caller has too many waiting.
   *
   * @throws ServiceError `ERR_BROKER_BUSY` for a caller that asks too often
   */
  give(caller: string): Buffer {
    this.#limit(this.#gives, caller);
    const waiting = this.#waiting.get(caller) ?? new Map<string, number>();
    this.#waiting.set(caller, waiting);
    const [oldest] = waiting.keys();
    if (waiting.size >= MAX_WAITING && oldest !== undefined) waiting.delete(oldest);
    const nonce = randomBytes(32);
    waiting.set(nonce.toString("hex"), this.#clock.monotonic() + this.#validMs);
    return nonce;
  }

  /**
   * To be called before a grant is looked at. Whoever asks with its own nonces alone is never refused here.
   *
   * @throws ServiceError `ERR_BROKER_BUSY` for a caller that asks too often
   */
  take(caller: string): void {
    this.#limit(this.#grants, caller);
  }

  /** @throws ServiceError `ERR_BROKER_NONCE` for one that was used, is late, or was given to another caller */
  spend(caller: string, nonce: Buffer): void {
    const waiting = this.#waiting.get(caller);
    const id = nonce.toString("hex");
    const endsMs = waiting?.get(id);
    waiting?.delete(id);
    if (endsMs === undefined || this.#clock.monotonic() >= endsMs)
      throw new ServiceError("ERR_BROKER_NONCE", "Nonce is used, too old, or another caller's");
  }

  #limit(buckets: Map<string, TokenBucket>, caller: string): void {
    const now = this.#clock.monotonic();
    const bucket = buckets.get(caller) ?? new TokenBucket(LIMIT, now);
    buckets.set(caller, bucket);
    if (!bucket.take(1, now))
      throw new ServiceError("ERR_BROKER_BUSY", "This caller asks too often", {
        fields: { retryAfterSeconds: 1 / LIMIT.perSecond },
      });
  }
}

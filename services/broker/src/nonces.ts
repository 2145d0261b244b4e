import { randomBytes } from "node:crypto";
import { ServiceError, type Clock } from "@redoubt/base";

/** THREAT-26: what one caller can have waiting. */
const MAX_WAITING = 16;

/** THREAT-14: nonces, each for one use by the caller that asked for it, within a time. */
export class Nonces {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #validMs: number;
  /** By caller, the ends of its nonces in monotonic milliseconds. */
  readonly #waiting = new Map<string, Map<string, number>>();

  constructor(clock: Pick<Clock, "monotonic">, validSeconds: number) {
    this.#clock = clock;
    this.#validMs = validSeconds * 1000;
  }

  /** The oldest gives way where a caller asks for too many. */
  give(caller: string): Buffer {
    const waiting = this.#waiting.get(caller) ?? new Map<string, number>();
    this.#waiting.set(caller, waiting);
    const [oldest] = waiting.keys();
    if (waiting.size >= MAX_WAITING && oldest !== undefined) waiting.delete(oldest);
    const nonce = randomBytes(32);
    waiting.set(nonce.toString("hex"), this.#clock.monotonic() + this.#validMs);
    return nonce;
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
}

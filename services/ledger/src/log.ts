import { isDatedAhead, type CompactRange, type VerifierKey } from "@redoubt/tlog";
import type { LogKind } from "./entries.ts";
import { refusal } from "./errors.ts";
import type { LogKey } from "./log-key.ts";

/** What never changes about a log. */
export interface LogIdentity {
  readonly origin: string;
  readonly id: string;
  readonly kind: LogKind;
  readonly key: LogKey;
  /** Of the registry: keys that were replaced. They signed what is stored here, and nothing that comes. */
  readonly formerKeys?: readonly VerifierKey[];
  /** Only issuance logs have one: the ledger alone writes the registry. */
  readonly writer?: VerifierKey;
  /** The caller whose log it is. */
  readonly caller?: string;
  /** Ended by the operator: it is read, and nothing is added. */
  readonly isClosed?: boolean;
}

/** Where a log stands: the tree over all its entries, as 53 hashes at most, and the checkpoint of that tree. */
export interface Head {
  readonly range: CompactRange;
  /** Signed by log and writer; empty text for an empty log. */
  readonly checkpoint: string;
}

/** The newest checkpoint that the witness cosigned. */
export interface Cosigned {
  readonly note: string;
  readonly size: number;
  /** When, by the clock of the witness. */
  readonly timeSeconds: number;
}

/**
 * One log in memory. Its head is what is durable: it moves only after a commit returned, so that a failed one
 * leaves nothing to take back (THREAT-05).
 */
export class Log {
  readonly identity: LogIdentity;
  #head: Head;
  #cosigned: Cosigned | undefined;
  #halted: string | undefined;

  constructor(identity: LogIdentity, head: Head) {
    this.identity = identity;
    this.#head = head;
  }

  get origin(): string {
    return this.identity.origin;
  }

  get size(): number {
    return this.#head.range.size;
  }

  get head(): Head {
    return this.#head;
  }

  get cosigned(): Cosigned | undefined {
    return this.#cosigned;
  }

  /** Why this log takes and gives nothing any more. */
  get halted(): string | undefined {
    return this.#halted;
  }

  get verifiers(): readonly VerifierKey[] {
    const { key, writer } = this.identity;
    return writer ? [key.verifier, writer] : [key.verifier];
  }

  /** P12: to be called with what the database has acknowledged, and nothing else. */
  advance(head: Head): void {
    this.#head = head;
  }

  /**
   * Takes a cosignature that is newer than the one held, and says whether it did. THREAT-37: one that is dated ahead
   * of this clock is refused, wherever it comes from. If the one held is dated ahead by now, because this clock was
   * ahead when it was taken, any other of the same size replaces it.
   */
  acceptCosigned(cosigned: Cosigned, nowSeconds: number): boolean {
    if (isDatedAhead(cosigned.timeSeconds, nowSeconds)) return false;
    const held = this.#cosigned;
    const isNewer =
      !held ||
      cosigned.size > held.size ||
      (cosigned.size === held.size &&
        (cosigned.timeSeconds > held.timeSeconds || isDatedAhead(held.timeSeconds, nowSeconds)));
    if (isNewer) this.#cosigned = cosigned;
    return isNewer;
  }

  halt(reason: string): void {
    this.#halted ??= reason;
  }

  /** @throws ServiceError `ERR_LEDGER_CLOSED`, `ERR_LEDGER_HALTED` unless something may be added */
  checkOpen(): void {
    if (this.identity.isClosed === true)
      throw refusal("ERR_LEDGER_CLOSED", `Log ${this.origin} is closed`);
    this.checkRunning();
  }

  /** @throws ServiceError `ERR_LEDGER_HALTED` */
  checkRunning(): void {
    if (this.#halted !== undefined)
      throw refusal("ERR_LEDGER_HALTED", `Log ${this.origin} is halted: ${this.#halted}`);
  }
}

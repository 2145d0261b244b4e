import { ServiceError, nowSeconds, type Clock } from "@redoubt/base";
import { Batcher, type IssuedToken } from "@redoubt/wire";
import type { SealedBatch } from "./bodies.ts";
import type { Grant } from "./policy.ts";
import { buildToken, JtiSource, type UnsignedToken } from "./token.ts";

/** The log as the mint needs it; replaced only where tests take log-before-sign away on purpose. */
export interface TokenLog {
  /** @throws ServiceError when nothing can be committed now */
  check(): void;
  /** Resolves with the place of the batch's first entry, once it is durable in exactly the predicted tree. */
  submit(batch: SealedBatch): Promise<number>;
}

export interface MintOptions {
  readonly log: TokenLog;
  readonly origin: string;
  readonly seal: (tokens: readonly UnsignedToken[]) => SealedBatch;
  /** Throws when nothing may be committed, for the witness, the registry or the clock. */
  readonly checkIssue: () => void;
  /** Throws when this key may not sign what was committed for it. */
  readonly checkSign: (kid: string) => void;
  readonly clock: Clock;
}

interface Waiting {
  readonly unsigned: UnsignedToken;
  readonly sinceMs: number;
  readonly done: (token: IssuedToken) => void;
  readonly failed: (error: unknown) => void;
}

/** C2SP tlog-tiles: what one entry bundle holds. Also keeps the largest bodies within one frame. */
const MAX_BATCH = 256;
/** Batches under way at once: one commits, and the next is sent or the one before is signed. */
const MAX_BATCHES = 2;
/**
 * While one batch commits, a second is sent only if it holds this many requests. Every batch costs two signatures, two
 * verifications and one sync: a smaller one is cheaper if it waits for the first to be acknowledged.
 */
export const MIN_SECOND_BATCH = 128;
/** After this time a small second batch is sent too: its answer may show whether the ledger lives. */
const HOLD_MS = 100;
const MAX_WAITING = 8192;
/** No caller waits longer than this: a token that comes later has an old iat, and nobody takes it. */
const MAX_WAIT_MS = 15_000;

/** Turns grants into tokens: committed to the log first, signed after (P3). Batches form by themselves under load. */
export class Mint {
  readonly #options: MintOptions;
  readonly #jtis = new JtiSource();
  readonly #batcher: Batcher<Waiting>;

  constructor(options: MintOptions) {
    this.#options = options;
    this.#batcher = new Batcher({
      maxItems: MAX_BATCH,
      maxBatches: MAX_BATCHES,
      minBeside: MIN_SECOND_BATCH,
      holdMs: HOLD_MS,
      // No waiting here: the issuer has collected requests already.
      lingerMs: 0,
      send: (batch) => this.#run(batch),
    });
  }

  /** @throws ServiceError when nothing may be committed, for the witness, the registry or the clock */
  check(): void {
    this.#options.checkIssue();
  }

  /** @throws ServiceError when no token could be signed now */
  build(grant: Grant, caller: string): UnsignedToken {
    const { log, clock } = this.#options;
    this.check();
    log.check();
    return buildToken(grant, caller, this.#jtis.next(), nowSeconds(clock));
  }

  issue(unsigned: UnsignedToken): Promise<IssuedToken> {
    if (this.#batcher.waiting >= MAX_WAITING)
      throw new ServiceError("ERR_SIGNER_BUSY", "Too many requests wait", {
        fields: { retryAfterSeconds: 1 },
      });
    const sinceMs = this.#options.clock.monotonic();
    return new Promise<IssuedToken>((done, failed) => {
      this.#batcher.add({ unsigned, sinceMs, done, failed });
    });
  }

  /** Never rejects: each of the batch is told. */
  async #run(batch: readonly Waiting[]): Promise<void> {
    const wanted = batch.filter((waiting) => !this.#failLate(waiting));
    if (wanted.length > 0) await this.#commit(wanted);
  }

  async #commit(batch: readonly Waiting[]): Promise<void> {
    const { log, seal } = this.#options;
    let first: number;
    try {
      this.check();
      first = await log.submit(seal(batch.map(({ unsigned }) => unsigned)));
    } catch (error) {
      for (const { failed } of batch) failed(error);
      return;
    }
    const later = [];
    for (const [place, waiting] of batch.entries()) {
      const signing = this.#sign(waiting, first + place);
      if (signing) later.push(signing);
    }
    await Promise.all(later);
  }

  /** Only reached after the commit was acknowledged and checked. A promise only where custody needs one. */
  #sign(waiting: Waiting, index: number): Promise<void> | undefined {
    const { key, signingInput } = waiting.unsigned;
    try {
      if (this.#failLate(waiting, COMMITTED)) return undefined;
      this.#options.checkSign(key.kid);
      const signature = key.custody.sign(Buffer.from(signingInput, "latin1"));
      if (signature instanceof Promise) return this.#signLater(waiting, index, signature);
      this.#release(waiting, index, signature);
    } catch (error) {
      waiting.failed(error);
    }
    return undefined;
  }

  async #signLater(waiting: Waiting, index: number, signing: Promise<Buffer>): Promise<void> {
    try {
      this.#release(waiting, index, await signing);
    } catch (error) {
      waiting.failed(error);
    }
  }

  #release({ unsigned, done }: Waiting, index: number, signature: Buffer): void {
    const { key, signingInput, jti, iat, exp } = unsigned;
    const token = `${signingInput}.${signature.toString("base64url")}`;
    done({ token, kid: key.kid, jti, expiresIn: exp - iat, log: this.#options.origin, index });
  }

  #failLate({ sinceMs, failed }: Waiting, fields: Readonly<Record<string, unknown>> = {}): boolean {
    const isLate = this.#options.clock.monotonic() - sinceMs > MAX_WAIT_MS;
    if (isLate)
      failed(new ServiceError("ERR_SIGNER_LOG", "Log did not commit in time", { fields }));
    return isLate;
  }
}

/** The entry is in the log: whoever asked must account for it (docs/spec/reports.md §4). */
const COMMITTED = { committed: true };

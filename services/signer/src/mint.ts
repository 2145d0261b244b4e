import { ServiceError, nowSeconds, type Clock } from "@redoubt/base";
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

export interface IssuedToken {
  readonly token: string;
  readonly kid: string;
  readonly jti: string;
  readonly expiresIn: number;
  readonly log: string;
  readonly index: number;
}

interface Waiting {
  readonly unsigned: UnsignedToken;
  readonly sinceMs: number;
  readonly done: (token: IssuedToken) => void;
  readonly failed: (error: unknown) => void;
}

/** While one batch commits the next is sent, and the one before is signed. */
const MAX_BATCHES_UNDER_WAY = 2;
/** C2SP tlog-tiles: what one entry bundle holds. Also keeps the largest bodies within one frame. */
const MAX_BATCH = 256;
const MAX_WAITING = 8192;
/** No caller waits longer: what comes later would be a token that nobody takes, with an old iat. */
const MAX_WAIT_MS = 15_000;

/** Turns grants into tokens: committed to the log first, signed after (P3). Batches form by themselves under load. */
export class Mint {
  readonly #options: MintOptions;
  readonly #jtis = new JtiSource();
  #waiting: Waiting[] = [];
  #underWay = 0;
  #isScheduled = false;

  constructor(options: MintOptions) {
    this.#options = options;
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
    if (this.#waiting.length >= MAX_WAITING)
      throw new ServiceError("ERR_SIGNER_BUSY", "Too many requests wait", {
        fields: { retryAfterSeconds: 1 },
      });
    const sinceMs = this.#options.clock.monotonic();
    return new Promise<IssuedToken>((done, failed) => {
      this.#waiting.push({ unsigned, sinceMs, done, failed });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#underWay >= MAX_BATCHES_UNDER_WAY) return;
    this.#isScheduled = true;
    // After this turn's reads, so that everything that arrived together shares one commit.
    setImmediate(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#underWay < MAX_BATCHES_UNDER_WAY) {
      const batch = this.#waiting.splice(0, MAX_BATCH);
      this.#underWay += 1;
      void this.#run(batch);
    }
  }

  /** Never rejects: each of the batch is told. */
  async #run(batch: readonly Waiting[]): Promise<void> {
    const wanted = batch.filter((waiting) => !this.#failLate(waiting));
    if (wanted.length > 0) await this.#commit(wanted);
    this.#underWay -= 1;
    if (this.#waiting.length > 0) this.#flush();
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
    await Promise.all(batch.map((waiting, place) => this.#sign(waiting, first + place)));
  }

  /** Only reached after the commit was acknowledged and checked. */
  async #sign(waiting: Waiting, index: number): Promise<void> {
    const { unsigned, done, failed } = waiting;
    const { key, signingInput, jti, iat, exp } = unsigned;
    try {
      if (this.#failLate(waiting)) return;
      this.#options.checkSign(key.kid);
      const signature = await key.custody.sign(Buffer.from(signingInput, "latin1"));
      const token = `${signingInput}.${signature.toString("base64url")}`;
      done({ token, kid: key.kid, jti, expiresIn: exp - iat, log: this.#options.origin, index });
    } catch (error) {
      failed(error);
    }
  }

  #failLate({ sinceMs, failed }: Waiting): boolean {
    const isLate = this.#options.clock.monotonic() - sinceMs > MAX_WAIT_MS;
    if (isLate) failed(new ServiceError("ERR_SIGNER_LOG", "Log did not commit in time"));
    return isLate;
  }
}

import { ServiceError, type Clock } from "@redoubt/base";
import {
  type Custodian,
  type CustodyKey,
  type CustodyLabel,
  type RefusedKey,
} from "@redoubt/custody";
import { KeyError, type SignatureAlgorithm } from "@redoubt/keys";
import { CustodyHealth, isCustodyFailure } from "./custody-health.ts";

export interface SignerCustodyOptions {
  readonly label: CustodyLabel;
  readonly open: () => Promise<Custodian>;
  readonly clock: Pick<Clock, "monotonic">;
  /** Whether custody may be used now, by the lease; throws where not. Absent where nobody asks for one. */
  readonly mayUse?: (() => void) | undefined;
  /** Called once, when custody's code is loaded: the permission to load native code is not needed any more. */
  readonly onLoaded?: (() => void) | undefined;
}

/**
 * Custody as the signer sees it (THREAT-05): opened as soon as it can be, known to be away since a call said so, and
 * back with the first call that succeeds. While it asks to be left alone nothing is committed to the log for it.
 */
export class SignerCustody implements Custodian {
  readonly label: CustodyLabel;
  readonly #options: SignerCustodyOptions;
  readonly #health: CustodyHealth;
  #custodian: Custodian | undefined;
  #opening: Promise<Custodian> | undefined;
  #isLoaded = false;
  #isLooking = false;
  #isClosed = false;

  private constructor(options: SignerCustodyOptions) {
    this.label = options.label;
    this.#options = options;
    this.#health = new CustodyHealth(options.clock);
  }

  /**
   * Custody that is away, denied or not installed is no failed start: the signer says so, signs nothing and tries
   * again. If the start failed, the supervisor would repeat it, and a refused PIN would be tried until the HSM locks.
   *
   * @throws whatever else the adapter throws: a file that is absent or that others can read, a wrong passphrase
   */
  static async open(options: SignerCustodyOptions): Promise<SignerCustody> {
    const custody = new SignerCustody(options);
    try {
      await custody.#openNow();
    } catch (error) {
      if (!isCustodyFailure(error)) throw error;
    }
    return custody;
  }

  generate(alg: SignatureAlgorithm): Promise<CustodyKey> {
    return this.#key((custodian) => custodian.generate(alg));
  }

  open(id: string): Promise<CustodyKey> {
    return this.#key((custodian) => custodian.open(id));
  }

  async list(): Promise<readonly string[]> {
    const custodian = await this.#open();
    return this.#watch(() => custodian.list());
  }

  async destroy(id: string): Promise<void> {
    await (await this.#open()).destroy(id);
  }

  async audit(): Promise<readonly RefusedKey[]> {
    const custodian = await this.#open();
    return (await custodian.audit?.()) ?? [];
  }

  /**
   * To be asked before anything is committed: what custody would not sign must not fill the log.
   *
   * @throws ServiceError with the code of custody's KeyError
   */
  check(): void {
    // P5: also where custody itself cannot check it.
    this.#options.mayUse?.();
    this.#health.check();
  }

  /** Why custody cannot be used, once that is more than a moment. */
  get failure(): KeyError | undefined {
    return this.#health.failure;
  }

  /** To be called every second: asks custody how it is when nothing else does. Never waited for. */
  look(): void {
    if (!this.#health.isLookDue || this.#isLooking || this.#isClosed) return;
    this.#isLooking = true;
    this.list()
      .catch(() => undefined)
      .finally(() => {
        this.#isLooking = false;
      });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const custodian = this.#custodian ?? (await this.#opening?.catch(() => undefined));
    await custodian?.[Symbol.asyncDispose]();
  }

  #open(): Promise<Custodian> {
    if (this.#custodian) return Promise.resolve(this.#custodian);
    if (this.#isClosed) return Promise.reject(new KeyError("ERR_KEY_UNKNOWN", "Custody is closed"));
    this.#opening ??= this.#openAgain().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openAgain(): Promise<Custodian> {
    try {
      return await this.#openNow();
    } catch (error) {
      if (isCustodyFailure(error)) throw error;
      // What ends a start, as a file that is absent, is a failure like any other once the signer runs.
      const failure = new KeyError("ERR_KEY_CUSTODY", "Custody does not open", { cause: error });
      this.#health.notAnswered(failure);
      throw failure;
    }
  }

  async #openNow(): Promise<Custodian> {
    try {
      this.#custodian = await this.#watch(this.#options.open);
      this.#loaded();
      return this.#custodian;
    } catch (error) {
      if (!(error instanceof KeyError) || error.code !== "ERR_KEY_MODULE") this.#loaded();
      throw error;
    }
  }

  #loaded(): void {
    if (this.#isLoaded) return;
    this.#isLoaded = true;
    this.#options.onLoaded?.();
  }

  /**
   * A failure here is not one of custody's health: where custody may make no key, or has used up its quota for making
   * them, the keys that are there still sign.
   */
  async #key(take: (custodian: Custodian) => Promise<CustodyKey>): Promise<CustodyKey> {
    const key = await take(await this.#open());
    return { ...key, sign: (input) => this.#sign(key, input) };
  }

  #sign(key: CustodyKey, input: Uint8Array): Buffer | Promise<Buffer> {
    const before = this.#health.failures;
    try {
      const signature = key.sign(input);
      if (!(signature instanceof Promise)) {
        this.#health.signed(before);
        return signature;
      }
      return signature.then(
        (bytes) => {
          this.#health.signed(before);
          return bytes;
        },
        (error: unknown) => {
          throw this.#notSigned(error);
        },
      );
    } catch (error) {
      throw this.#notSigned(error);
    }
  }

  /** P3: the entry is in the log by now: `committed` tells the caller to account for it (docs/spec/reports.md §4). */
  #notSigned(error: unknown): ServiceError {
    this.#health.notSigned(error);
    const isOurs = error instanceof KeyError;
    const seconds = isOurs ? error.retryAfterSeconds : undefined;
    const wait = seconds === undefined ? {} : { retryAfterSeconds: Math.ceil(seconds) };
    return new ServiceError(isOurs ? error.code : "ERR_INTERNAL", "Custody did not sign", {
      cause: error,
      fields: { committed: true, ...wait },
    });
  }

  async #watch<T>(call: () => Promise<T>): Promise<T> {
    const before = this.#health.failures;
    try {
      const answer = await call();
      this.#health.answered(before);
      return answer;
    } catch (error) {
      this.#health.notAnswered(error);
      throw error;
    }
  }
}

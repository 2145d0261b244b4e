import { errorCode, MemberReader, ServiceError } from "@redoubt/base";
import type { SocketClient } from "@redoubt/wire";
import type { IssuerEvents } from "./events.ts";

export interface SignerWatchOptions {
  readonly client: Pick<SocketClient, "request">;
  readonly realm: string;
  readonly ttlSeconds: number;
  readonly events: IssuerEvents;
  readonly intervalMs: number;
}

/** A signer that starts is asked more often: somebody waits for the first token. */
const NOT_READY_INTERVAL_MS = 100;

/** Asks the signer again and again whether it can work, for readiness and status only. */
export class SignerWatch implements Disposable {
  /** Resolves once the signer was ready for the first time. */
  readonly ready: Promise<void>;
  readonly #options: SignerWatchOptions;
  readonly #resolve: () => void;
  #isReady: boolean | undefined;
  #reason: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: SignerWatchOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#resolve = resolve;
    void this.#ask();
  }

  get isReady(): boolean {
    return this.#isReady === true;
  }

  /** Why the signer is not ready, if it is not. */
  get reason(): string | undefined {
    return this.#reason;
  }

  async #ask(): Promise<void> {
    try {
      const { head } = await this.#options.client.request({ op: "metadata" });
      this.#say(this.#problemOf(head));
    } catch (error) {
      this.#say(errorCode(error));
    }
    if (this.#closed) return;
    const { intervalMs } = this.#options;
    const wait = this.isReady ? intervalMs : Math.min(intervalMs, NOT_READY_INTERVAL_MS);
    this.#timer = setTimeout(() => void this.#ask(), wait).unref();
  }

  #problemOf(head: ConstructorParameters<typeof MemberReader>[0]): string | undefined {
    const { realm, ttlSeconds } = this.#options;
    const reader = new MemberReader(head, "metadata");
    // THREAT-34: a socket that leads to another realm's signer is a mistake of the set-up, never used.
    if (reader.string("realm", 32) !== realm)
      throw new ServiceError("ERR_ISSUER_SIGNER_REALM", `Signer is not of realm ${realm}`);
    if (reader.integer("maxTtlSeconds", 0, Number.MAX_SAFE_INTEGER) < ttlSeconds)
      throw new ServiceError(
        "ERR_ISSUER_SIGNER_TTL",
        "Signer does not allow the configured lifetime",
      );
    return reader.boolean("ready") ? undefined : "ERR_ISSUER_SIGNER_NOT_READY";
  }

  #say(reason: string | undefined): void {
    if (this.#closed) return;
    const isReady = reason === undefined;
    if (isReady !== this.#isReady || reason !== this.#reason)
      this.#options.events.signerState(isReady, reason);
    this.#isReady = isReady;
    this.#reason = reason;
    if (isReady) this.#resolve();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }
}

import { errorCode, ServiceError } from "@redoubt/base";
import { ask, SIGNER, type SignerMetadata, type SocketClient } from "@redoubt/wire";
import type { IssuerEvents } from "./events.ts";

export interface SignerWatchOptions {
  readonly client: Pick<SocketClient, "request" | "heard" | "inFlight">;
  readonly realm: string;
  readonly ttlSeconds: number;
  readonly events: IssuerEvents;
  readonly intervalMs: number;
  /** A signer that was asked and sends nothing for this long is silent. */
  readonly silenceMs: number;
  readonly onSilent: () => void;
  /** It was heard again. */
  readonly onHeard: () => void;
  /** How many entries of the registry it has read. */
  readonly onRegistryRead: (metadata: SignerMetadata) => void;
  /** Whether it has read less of the registry than this process: then it is asked more often. */
  readonly isBehind: () => boolean;
}

const SILENT = "ERR_ISSUER_SIGNER_SILENT";
/** How often it looks within `silenceMs`. A pause of this process is one look, and so no silence of the signer. */
const LOOKS = 8;

/** While the signer is not ready, or knows less of the registry than this process: somebody waits for a token. */
const NOT_READY_INTERVAL_MS = 100;

/**
 * Asks the signer again and again whether it can work, for readiness and status; and listens whether it lives. Any
 * answer is a sign of life: one that is slow, or refuses, is not silent.
 */
export class SignerWatch implements Disposable {
  /** Resolves once the signer was ready for the first time. */
  readonly ready: Promise<void>;
  readonly #options: SignerWatchOptions;
  readonly #resolve: () => void;
  #isReady: boolean | undefined;
  #reason: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #looking: NodeJS.Timeout;
  #heard = 0;
  #silentLooks = 0;
  #isSilent = false;
  /** `client.heard` when a question last failed for want of a connection. */
  #failedAt: number | undefined;
  #isAsking = false;
  #closed = false;

  constructor(options: SignerWatchOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#resolve = resolve;
    this.#looking = setInterval(() => this.#look(), options.silenceMs / LOOKS).unref();
    void this.#ask();
  }

  get isReady(): boolean {
    return this.#isReady === true;
  }

  /** Why the signer is not ready, if it is not. */
  get reason(): string | undefined {
    return this.#reason;
  }

  #look(): void {
    const { heard, inFlight } = this.#options.client;
    if (heard !== this.#heard) return this.#hear(heard);
    if (inFlight === 0 || this.#isSilent) return;
    this.#silentLooks += 1;
    if (this.#silentLooks > LOOKS) this.#fallSilent();
  }

  #hear(heard: number): void {
    this.#heard = heard;
    this.#silentLooks = 0;
    if (!this.#isSilent) return;
    this.#isSilent = false;
    this.#options.onHeard();
    this.askNow();
  }

  #fallSilent(): void {
    if (this.#isSilent || this.#closed) return;
    this.#isSilent = true;
    this.#say(SILENT);
    this.#options.onSilent();
  }

  /** Asks now instead of at the next interval: the signer may have read more of the registry. */
  askNow(): void {
    if (!this.#isAsking && !this.#closed) void this.#ask();
  }

  async #ask(): Promise<void> {
    clearTimeout(this.#timer);
    this.#isAsking = true;
    try {
      const metadata = await ask(this.#options.client, SIGNER.metadata, {});
      this.#look();
      this.#say(this.#problemOf(metadata));
      this.#options.onRegistryRead(metadata);
    } catch (error) {
      this.#failed(error);
    }
    this.#isAsking = false;
    if (this.#closed) return;
    const { intervalMs } = this.#options;
    const isSettled = this.isReady && !this.#options.isBehind();
    const wait = isSettled ? intervalMs : Math.min(intervalMs, NOT_READY_INTERVAL_MS);
    this.#timer = setTimeout(() => void this.#ask(), wait).unref();
  }

  #failed(error: unknown): void {
    const { heard } = this.#options.client;
    this.#look();
    if (errorCode(error) === "ERR_WIRE_CLOSED") {
      // The first time it may be a restart that is over in a moment. Twice without a sign of life is silence.
      if (this.#failedAt === heard) this.#fallSilent();
      this.#failedAt = heard;
    }
    this.#say(this.#isSilent ? SILENT : errorCode(error));
  }

  #problemOf({ realm, maxTtlSeconds, ready }: SignerMetadata): string | undefined {
    const { realm: own, ttlSeconds } = this.#options;
    // THREAT-34: a socket that leads to another realm's signer is a mistake of the set-up, never used.
    if (realm !== own)
      throw new ServiceError("ERR_ISSUER_SIGNER_REALM", `Signer is not of realm ${own}`);
    if (maxTtlSeconds < ttlSeconds)
      throw new ServiceError(
        "ERR_ISSUER_SIGNER_TTL",
        "Signer does not allow the configured lifetime",
      );
    return ready ? undefined : "ERR_ISSUER_SIGNER_NOT_READY";
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
    clearInterval(this.#looking);
  }
}

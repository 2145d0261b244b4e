import { Agent } from "node:https";
import { CallGate, type GateParts, type Repeat } from "@redoubt/custody/call-gate";
import { BoundedHttpClient } from "./bounded-http-client.ts";
import { judgeFailure, unexpected } from "./failure.ts";
import type {
  CryptographyClient,
  KeyClient,
  KeyVaultSdk,
  PagedList,
  TokenCredential,
} from "./sdk.ts";
import type { CheckedSettings } from "./settings.ts";

/** A list takes one call a page, and cannot be taken up in the middle. */
const LIST_TIMEOUT_MS = 60_000;
/** Azure's own largest page, and more pages than any vault should hold. */
const MAX_PAGE_ITEMS = 25;
const MAX_PAGES = 400;

export interface VaultCallsOptions {
  readonly sdk: KeyVaultSdk;
  readonly settings: CheckedSettings;
  readonly credential: TokenCredential;
  readonly parts: GateParts;
  /** Given back unharmed; default: an agent of our own. */
  readonly agent?: Agent | undefined;
}

/** The vault behind a gate: bounded, retried, and every failure coded. */
export class VaultCalls {
  readonly #options: VaultCallsOptions;
  readonly #ownAgent: Agent;
  readonly #client: KeyClient;
  readonly #gate: CallGate;
  readonly #listGate: CallGate;

  constructor(options: VaultCallsOptions) {
    const { sdk, settings, credential, parts } = options;
    const { limits, roots } = settings;
    this.#options = options;
    this.#ownAgent = new Agent({ keepAlive: true, ...(roots !== undefined && { ca: roots }) });
    this.#client = new sdk.KeyClient(settings.origin, credential, this.#clientOptions());
    this.#gate = new CallGate(limits, parts);
    const listLimits = { ...limits, maxConcurrent: 1, attemptTimeoutMs: LIST_TIMEOUT_MS };
    this.#listGate = new CallGate(listLimits, parts);
  }

  /**
   * One call; what it throws of an answer is judged like a failure of the call.
   *
   * @throws KeyError
   */
  async call<T>(
    use: (client: KeyClient, options: { readonly abortSignal: AbortSignal }) => Promise<T>,
    repeat: Repeat = "always",
  ): Promise<T> {
    return this.#gate.run({
      repeat,
      judge: judgeFailure,
      request: async (abortSignal) => use(this.#client, { abortSignal }),
    });
  }

  /** All of a list, read anew where a page failed. */
  async list(start: (client: KeyClient) => PagedList): Promise<readonly unknown[]> {
    const request = async (signal: AbortSignal): Promise<readonly unknown[]> => {
      const pages = [];
      // By page: an empty one with another behind it must come back to us too, or a list could go on for ever.
      for await (const page of start(this.#client).byPage()) {
        signal.throwIfAborted();
        if (!Array.isArray(page) || page.length > MAX_PAGE_ITEMS || pages.length >= MAX_PAGES)
          throw unexpected("a list without end");
        pages.push(page);
      }
      return pages.flat();
    };
    return this.#listGate.run({ repeat: "always", judge: judgeFailure, request });
  }

  /** A client of one key, which the SDK need not fetch again. */
  cryptography(sdkKey: unknown): CryptographyClient {
    const { sdk, credential } = this.#options;
    return new sdk.CryptographyClient(sdkKey, credential, this.#clientOptions());
  }

  close(): void {
    this.#gate.close();
    this.#listGate.close();
    this.#ownAgent.destroy();
  }

  // Anew for each client: the SDK writes into what it is given.
  #clientOptions(): object {
    const { settings, agent = this.#ownAgent } = this.#options;
    const timeoutMs = settings.limits.attemptTimeoutMs;
    return {
      httpClient: new BoundedHttpClient({ origin: settings.origin, agent, timeoutMs }),
      // The SDK's own retries would multiply with those of the gate; where a redirect leads nobody knows.
      retryOptions: { maxRetries: 0 },
      redirectOptions: { maxRetries: 0 },
    };
  }
}

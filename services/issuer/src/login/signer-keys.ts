import { errorCode } from "@redoubt/base";
import { ask, SIGNER, type RealmKey, type Requester } from "@redoubt/wire";

export interface SignerKeysOptions {
  readonly client: Requester;
  /** The keys could not be asked for; those from before stay. */
  readonly failed: (code: string) => void;
}

/** The realm's keys as the signer lists them, asked for again whenever the registry has grown. */
export class SignerKeys {
  readonly #options: SignerKeysOptions;
  #keys: readonly RealmKey[] = [];
  #asOf = 0;
  #asking: Promise<void> | undefined;

  constructor(options: SignerKeysOptions) {
    this.#options = options;
  }

  /** The same array as long as nothing changed. */
  get keys(): readonly RealmKey[] {
    return this.#keys;
  }

  /** The signer has read so many entries of the registry. */
  signerRead({ registrySize }: { readonly registrySize: number }): void {
    if (registrySize > this.#asOf) void this.refresh();
  }

  /** Asks now: the signer said that another key signs. */
  refresh(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<void> {
    try {
      const { keys, asOf } = await ask(this.#options.client, SIGNER.fetchKeys, {});
      this.#asOf = asOf;
      this.#keys = keys;
    } catch (error) {
      this.#options.failed(errorCode(error));
    }
  }
}

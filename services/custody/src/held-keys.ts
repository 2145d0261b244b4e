import type { Clock } from "@redoubt/base";
import type { Custodian, CustodyKey } from "@redoubt/custody";
import { errorCode } from "@redoubt/base";
import type { GatewayEvents } from "./events.ts";

export interface HeldKeysOptions {
  readonly open: () => Promise<Custodian>;
  readonly clock: Pick<Clock, "monotonic">;
  readonly events: Pick<GatewayEvents, "custodyFailed">;
  /** Called once custody's code is loaded, or was found missing: no other native code may be. */
  readonly onLoaded: () => void;
}

/** How long custody that did not open is left alone: HSMs count wrong PINs. */
const PAUSE_MS = 5000;

/** Custody that is opened when it can be, and its keys, opened once. */
export class HeldKeys implements AsyncDisposable {
  readonly #options: HeldKeysOptions;
  readonly #keys = new Map<string, CustodyKey>();
  #custodian: Promise<Custodian> | undefined;
  #failedMs = -Infinity;
  #failure: unknown;

  constructor(options: HeldKeysOptions) {
    this.#options = options;
  }

  /** @throws as the adapter; the same again for a while */
  async custodian(): Promise<Custodian> {
    if (this.#options.clock.monotonic() - this.#failedMs < PAUSE_MS) throw this.#failure;
    this.#custodian ??= this.#options.open();
    try {
      const custodian = await this.#custodian;
      this.#options.onLoaded();
      return custodian;
    } catch (error) {
      if (this.#failure !== error) this.#options.events.custodyFailed(errorCode(error));
      this.#custodian = undefined;
      this.#failure = error;
      this.#failedMs = this.#options.clock.monotonic();
      throw error;
    }
  }

  async key(id: string): Promise<CustodyKey> {
    const known = this.#keys.get(id);
    if (known) return known;
    const key = await (await this.custodian()).open(id);
    this.#keys.set(id, key);
    return key;
  }

  forget(id: string): void {
    this.#keys.delete(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const custodian = await this.#custodian?.catch(() => undefined);
    await custodian?.[Symbol.asyncDispose]();
  }
}

import { errorCode, ServiceError, type Clock } from "@redoubt/base";
import type { Custodian, CustodyKey } from "@redoubt/custody";
import type { GatewayEvents } from "./events.ts";

export interface HeldKeysOptions {
  readonly open: () => Promise<Custodian>;
  readonly clock: Pick<Clock, "monotonic">;
  readonly events: Pick<GatewayEvents, "custodyFailed">;
  /** Called once custody's code is loaded, also where custody does not open then: no other native code may be. */
  readonly onLoaded: () => void;
}

/** How long custody that did not open is left alone: HSMs count wrong PINs. */
const PAUSE_MS = 5000;
/** All of them, by name, must fit into the head of one answer (docs/spec/wire.md). A signer needs a few. */
const MAX_KEYS = 1024;

/** Custody that is opened when it can be, and its keys, opened once. */
export class HeldKeys implements AsyncDisposable {
  readonly #options: HeldKeysOptions;
  readonly #keys = new Map<string, CustodyKey>();
  #custodian: Promise<Custodian> | undefined;
  #failedMs = -Infinity;
  #failure: unknown;
  /** Keys that are being made. */
  #making = 0;

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
      // Code that is missing may be there at the next try, which needs the permission to load it.
      if (errorCode(error) !== "ERR_KEY_MODULE") this.#options.onLoaded();
      if (this.#failure !== error) this.#options.events.custodyFailed(errorCode(error));
      this.#custodian = undefined;
      this.#failure = error;
      this.#failedMs = this.#options.clock.monotonic();
      throw error;
    }
  }

  /** @throws ServiceError `ERR_CUSTODY_FULL`; as the adapter */
  async generate(custodian: Custodian, alg: CustodyKey["alg"]): Promise<CustodyKey> {
    this.#making += 1;
    try {
      const { length } = await custodian.list();
      if (length + this.#making > MAX_KEYS)
        throw new ServiceError(
          "ERR_CUSTODY_FULL",
          `Custody holds ${length} keys: destroy old ones`,
        );
      return await custodian.generate(alg);
    } finally {
      this.#making -= 1;
    }
  }

  async key(id: string): Promise<CustodyKey> {
    const known = this.#keys.get(id);
    // mutate: it only saves opening the key again.
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

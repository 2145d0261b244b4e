import { nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import {
  signStatement,
  type KeyInfo,
  type Registry,
  type SignedStatement,
  type StatementBody,
  type StatementSigner,
} from "@redoubt/registry";
import { type KeyState, type SignedKeyRecord } from "@redoubt/keys";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { SignerEvents } from "../events.ts";

export interface KeyStatementsOptions {
  readonly realm: string;
  readonly registry: () => Registry;
  readonly ringSigner: StatementSigner;
  readonly clock: Clock;
  readonly events: SignerEvents;
  /** Appends to the registry; `ifSize` makes it a compare-and-swap. Resolves when the fold holds it. */
  readonly append: (statement: SignedStatement, ifSize?: number) => Promise<void>;
}

/**
 * What this signer says of keys in the name of its realm's ring. Each resolves when the registry holds it and the fold
 * took it. All but taint and retain are compare-and-swaps: the ledger takes them only if the registry is still exactly
 * what the decision was made by. So two signers of a realm never activate two keys of one ring, and never both make a
 * standby where one was missing.
 */
export class KeyStatements {
  readonly #options: KeyStatementsOptions;

  constructor(options: KeyStatementsOptions) {
    this.#options = options;
  }

  /**
   * Registers a key's record: a new one, or a known one that another ring key vouches for now.
   *
   * @throws ServiceError `ERR_LEDGER_SIZE` when the registry moved, `ERR_SIGNER_REGISTRY_VOID`
   */
  async key({ record, recordBytes, ringSignature }: SignedKeyRecord): Promise<void> {
    const { realm, registry } = this.#options;
    const { kid } = record;
    const texts = { record: encodeBase64url(recordBytes), ring: encodeBase64url(ringSignature) };
    await this.#append({ type: "key", realm, kid, ...texts }, registry().size);
    if (registry().keys.get(kid)?.ringSignature.equals(ringSignature) !== true)
      throw voidStatement();
  }

  /** @throws ServiceError `ERR_LEDGER_SIZE` when the registry moved, `ERR_SIGNER_REGISTRY_VOID` */
  async state({ kid, state: from }: KeyInfo, state: KeyState, reason: string): Promise<void> {
    const { realm, registry, events } = this.#options;
    await this.#append({ type: "key-state", realm, kid, state, reason }, registry().size);
    if (registry().keys.get(kid)?.state !== state) throw voidStatement();
    events.keyState(kid, from, state, reason);
  }

  /** No compare-and-swap: a key can be tainted from any state. */
  async taint({ kid, state: from }: KeyInfo, reason: string): Promise<void> {
    const { realm, registry, events } = this.#options;
    await this.#append({ type: "key-state", realm, kid, state: "tainted", reason });
    const state = registry().keys.get(kid)?.state;
    if (state !== "tainted" && state !== "revoked") throw voidStatement();
    events.keyState(kid, from, "tainted", reason);
  }

  async retain({ kid }: KeyInfo, retain: boolean, reason: string): Promise<void> {
    const { realm, registry, events } = this.#options;
    await this.#append({ type: "key-retain", realm, kid, by: "ring", retain, reason });
    if ((registry().keys.get(kid)?.retainedBy !== undefined) !== retain) throw voidStatement();
    events.keyRetained(kid, retain, reason);
  }

  async #append(body: StatementBody, ifSize?: number): Promise<void> {
    const { ringSigner, append, clock } = this.#options;
    await append(signStatement(body, ringSigner, nowSeconds(clock)), ifSize);
  }
}

function voidStatement(): ServiceError {
  return new ServiceError("ERR_SIGNER_REGISTRY_VOID", "Registry did not take the statement");
}

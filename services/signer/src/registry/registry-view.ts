import { errorCode, ServiceError } from "@redoubt/base";
import { isShownTo, type Registry, RegistryReader, type SignedStatement } from "@redoubt/registry";
import type { TreeHead, VerifierKey } from "@redoubt/tlog";
import { ask, LEDGER, RemoteError, type Requester } from "@redoubt/wire";
import type { SignerEvents } from "../events.ts";
import type { RememberedTree } from "../log/state-file.ts";
import type { WitnessGuard } from "../log/witness-guard.ts";

export interface RegistryViewOptions {
  readonly realm: string;
  readonly client: Requester;
  readonly origin: string;
  readonly logKey: VerifierKey;
  readonly operator: VerifierKey;
  readonly guard: WitnessGuard;
  readonly events: SignerEvents;
  readonly remembered: RememberedTree | undefined;
  /** THREAT-38: what the witness holds of it now; asked once, before the first reading. */
  readonly witnessed: () => Promise<TreeHead>;
}

/**
 * The registry as this signer knows it. The ledger that hands it out is not trusted: it can neither leave out a
 * statement's body, nor show a shorter or another registry than before, nor keep news back for longer than
 * `maxUnwitnessed`, because the witness never cosigns an old size again (THREAT-06, THREAT-30).
 */
export class RegistryView {
  readonly #options: RegistryViewOptions;
  readonly #reader: RegistryReader;
  #isWitnessKnown = false;
  /** Why what was read last cannot be used, until a poll succeeds. */
  #refusal: string | undefined;
  #isForked = false;
  #issuerStatements = 0;

  constructor(options: RegistryViewOptions) {
    this.#options = options;
    const { events, realm, remembered } = options;
    this.#reader = new RegistryReader({
      ...options,
      log: options.origin,
      seesAll: true,
      onItem: (item, result) => {
        if (result.kind === "void") events.registryVoid(item.index, result.code);
        if (isShownTo(`issuer-${realm}`, item, result)) this.#issuerStatements += 1;
      },
    });
    if (remembered) this.#reader.expect(remembered);
  }

  /** How many statements were read that this realm's issuer is shown: it must have read as many. */
  get issuerStatements(): number {
    return this.#issuerStatements;
  }

  get registry(): Registry {
    return this.#reader.registry;
  }

  /** The largest tree that was proven, of this run or an earlier one. */
  get held(): TreeHead {
    const { head } = this.#reader;
    const { remembered } = this.#options;
    return remembered && remembered.size > head.size ? remembered : head;
  }

  /** @throws ServiceError `ERR_SIGNER_REGISTRY` while nothing can be decided by what was read */
  checkUsable(): void {
    if (this.#isForked || this.#refusal !== undefined)
      throw new ServiceError("ERR_SIGNER_REGISTRY", `Registry: ${this.#refusal ?? "forked"}`, {
        fields: { retryAfterSeconds: 5 },
      });
  }

  /** @throws ServiceError `ERR_SIGNER_REGISTRY`, `ERR_SIGNER_UNWITNESSED`, `ERR_SIGNER_CLOCK` */
  check(): void {
    this.checkUsable();
    this.#options.guard.check();
  }

  /** Reads what is new, at least what was there when this was called. */
  async poll(): Promise<void> {
    if (!this.#isWitnessKnown) this.#reader.expect(await this.#options.witnessed());
    this.#isWitnessKnown = true;
    try {
      await this.#reader.poll();
      this.#refusal = undefined;
    } catch (error) {
      this.#noteRefusal(error);
      throw error;
    }
  }

  /**
   * Appends a statement, and resolves once it was read back: it takes effect when the registry holds it, not before.
   * The caller looks whether the fold took it. With `ifSize` the ledger takes it at exactly that size.
   *
   * @throws ServiceError `ERR_LEDGER_*` where the ledger refused, `ERR_SIGNER_REGISTRY` where the outcome is unknown
   */
  async append({ statement, envelope }: SignedStatement, ifSize?: number): Promise<void> {
    const { client, origin } = this.#options;
    try {
      await ask(client, LEDGER.append, { log: origin, statement, envelope, ifSize });
      await this.poll();
    } catch (cause) {
      throw notAppended(cause);
    }
  }

  /** Resolves when the registry may have grown, or after `timeoutMs`. */
  wait(timeoutMs: number): Promise<void> {
    return this.#reader.wait(timeoutMs);
  }

  /** Asks how far the witness has seen the registry, and when. */
  async refreshCosigned(): Promise<void> {
    const { client, origin, guard, events } = this.#options;
    const { cosigned: note } = await ask(client, LEDGER.state, { log: origin });
    if (note === "") return;
    try {
      const cosigned = guard.open(note);
      const root = this.#reader.rootAt(cosigned.size);
      // The tree is larger than what we were given, or its root is no longer known here: this says nothing about what
      // we hold.
      if (!root) return;
      if (!root.equals(cosigned.root)) throw this.#fork();
      guard.accept(cosigned);
    } catch (error) {
      events.cosignatureRefused(origin, errorCode(error));
    }
  }

  #noteRefusal(error: unknown): void {
    const code = errorCode(error);
    // A ledger that is away says nothing wrong: what was read stands, as long as the witness vouches for it.
    if (!(error instanceof ServiceError) || !code.startsWith("ERR_REGISTRY_")) return;
    if (this.#refusal !== code) this.#options.events.registryRefused(code);
    this.#refusal = code;
  }

  #fork(): ServiceError {
    this.#isForked = true;
    this.#options.events.registryRefused("ERR_REGISTRY_HISTORY");
    return new ServiceError("ERR_REGISTRY_HISTORY", "The witness holds another registry");
  }
}

/** A ledger must not be able to answer with a code of ours: those would raise alarms about the caller. */
function notAppended(cause: unknown): ServiceError {
  const code = errorCode(cause);
  const isLedgers = cause instanceof RemoteError && code.startsWith("ERR_LEDGER_");
  const shown = isLedgers ? code : "ERR_SIGNER_REGISTRY";
  return new ServiceError(shown, `Registry did not confirm the statement: ${code}`, { cause });
}

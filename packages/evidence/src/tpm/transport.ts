import { EvidenceError } from "../evidence-error.ts";

/** The way to one TPM. Commands are answered in the order in which they were sent. */
export interface Transport {
  /**
   * Sends one command and gives its response, both as the TPM 2.0 Library writes them.
   *
   * @throws EvidenceError `ERR_TPM_TRANSPORT`; every later command fails as well
   */
  send(command: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface TransportOptions {
  /** For one command. Default 30 s: making an RSA key may take a hardware TPM many seconds. */
  readonly timeoutMs?: number;
}

export const DEFAULT_TPM_TIMEOUT_MS = 30_000;
/** MAX_RESPONSE_SIZE of the PC Client Platform TPM Profile. */
export const MAX_RESPONSE_BYTES = 4096;
/** Tag, size, response code. */
export const RESPONSE_HEADER_BYTES = 10;

export function transportError(problem: string, cause?: unknown): EvidenceError {
  return new EvidenceError("ERR_TPM_TRANSPORT", problem, { part: "tpm", cause });
}

/** Runs one exchange after the other; after the first that failed, none: a late answer would be taken for another's. */
export class ExchangeQueue {
  #last: Promise<unknown> = Promise.resolve();
  #broken: EvidenceError | undefined;

  run(exchange: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const turn = this.#last.then(() => this.#exchange(exchange));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #exchange(exchange: () => Promise<Uint8Array>): Promise<Uint8Array> {
    if (this.#broken !== undefined) throw transportError("TPM is out of reach", this.#broken);
    try {
      return await exchange();
    } catch (error) {
      this.#broken =
        error instanceof EvidenceError ? error : transportError("TPM cannot be reached", error);
      throw this.#broken;
    }
  }
}

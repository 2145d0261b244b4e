import { systemClock, type Clock, type Secret } from "@redoubt/base";
import type { Custodian } from "../custody.ts";
import { readPassphrase } from "../key-file.ts";
import { Connection } from "./connection.ts";
import { Pkcs11Custodian } from "./custodian.ts";
import { loadPkcs11, type Pkcs11Module } from "./module.ts";

export interface Pkcs11Options {
  /** Absolute path, or the module as `loadPkcs11` gave it. */
  readonly module: string | Pkcs11Module;
  /** The token's label. Every object in the token that is labelled as ours counts as this custodian's key. */
  readonly tokenLabel: string;
  /** The user's PIN, or a 0600 file that holds it, read again once its PIN was refused. */
  readonly pin: Secret | { readonly file: string };
  /** Calls at once in the thread pool. Default 4, the threads of Node's pool unless it is told otherwise. */
  readonly sessions?: number;
  /**
   * Whether EC keys sign in the calling thread or, as RSA always does, in the thread pool. Default: in the pool where
   * the slot says that it is hardware, because waiting for hardware would block the process.
   */
  readonly signing?: "sync" | "async";
  /** How long one call in the thread pool may take. Default 10 000. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

const DEFAULT_SESSIONS = 4;
const DEFAULT_TIMEOUT_MS = 10_000;

/**
 * Keys in a PKCS#11 token: made there, and never readable. One signer per token.
 *
 * @throws KeyError `ERR_KEY_MODULE` without binding or module, `ERR_KEY_BUSY` without the token, `ERR_KEY_CUSTODY`
 *   where two tokens bear its label, `ERR_KEY_DENIED` for the PIN; `ERR_KEY_FILE` without the PIN file, ServiceError
 *   `ERR_FILE_*` for one that is open to others
 */
export async function openPkcs11Custodian(options: Pkcs11Options): Promise<Custodian> {
  const { pin, tokenLabel } = options;
  const module =
    typeof options.module === "string" ? await loadPkcs11(options.module) : options.module;
  const connection = new Connection({
    module,
    tokenLabel,
    pin: () => ("file" in pin ? readPassphrase(pin.file) : pin),
    sessions: options.sessions ?? DEFAULT_SESSIONS,
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    clock: options.clock ?? systemClock,
  });
  try {
    return new Pkcs11Custodian(module.cryptoki, connection, options.signing);
  } catch (error) {
    await connection.close();
    throw error;
  }
}

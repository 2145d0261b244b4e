import type { SignatureAlgorithm, Signer } from "@redoubt/keys";
import { KeyError } from "@redoubt/keys";

/** What a relying party is told about where a private key lives; a label, never a promise. */
export const CUSTODY_LABELS = [
  "plain-file",
  "sealed-file",
  "drill",
  "pkcs11",
  "kms",
  "node-key",
] as const;
export type CustodyLabel = (typeof CUSTODY_LABELS)[number];

/** A key that can be used but not read. */
export interface CustodyKey {
  readonly id: string;
  readonly alg: SignatureAlgorithm;
  readonly publicJwk: Readonly<Record<string, string>>;
  /** JWS signature of the whole input; nothing outside the signer's process ever reaches this call. */
  readonly sign: Signer;
}

/** A key that custody holds and that must not be used. */
export interface RefusedKey {
  readonly id: string;
  readonly reason: string;
}

/**
 * The port to whatever holds private keys. Keys are made inside; nothing imports or exports one. Every adapter passes the
 * same contract tests. Where custody lies outside of this process, each call may fail with `ERR_KEY_BUSY`, within a
 * bounded time. The custodian recovers by itself, so a later call may succeed.
 */
export interface Custodian extends AsyncDisposable {
  readonly label: CustodyLabel;
  /** Makes a key; it is durable when this resolves. */
  generate(alg: SignatureAlgorithm): Promise<CustodyKey>;
  /** @throws KeyError `ERR_KEY_UNKNOWN`, `ERR_KEY_REFUSED` for one that must not be used */
  open(id: string): Promise<CustodyKey>;
  /** The ids of all whole keys. While custody is away this fails, and never gives a shorter list. */
  list(): Promise<readonly string[]>;
  /** Ends a key for good; an id that is not there is no error, so that it can be repeated after a crash. */
  destroy(id: string): Promise<void>;
  /**
   * Inspects every key again, as `open` did, and gives those that must not be used: they sign no more. The owner calls it
   * daily. Absent where a key has nothing to inspect.
   */
  audit?(): Promise<readonly RefusedKey[]>;
}

/** Whether custody is away for now: neither the key nor the request is at fault, and a later try may succeed. */
export function isCustodyAway(error: unknown): boolean {
  return error instanceof KeyError && error.code === "ERR_KEY_BUSY";
}

import type { SignatureAlgorithm, Signer } from "./algorithm.ts";

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

/**
 * The port to whatever holds private keys. Keys are made inside; nothing imports or exports one.
 * Adapters answer the same contract tests.
 */
export interface Custodian extends AsyncDisposable {
  readonly label: CustodyLabel;
  /** Makes a key; it is durable when this resolves. */
  generate(alg: SignatureAlgorithm): Promise<CustodyKey>;
  /** @throws KeyError `ERR_KEY_UNKNOWN` */
  open(id: string): Promise<CustodyKey>;
  list(): Promise<readonly string[]>;
  /** Ends a key for good; an id that is not there is no error, so that it can be repeated after a crash. */
  destroy(id: string): Promise<void>;
}

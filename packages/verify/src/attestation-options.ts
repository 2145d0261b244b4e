import type { CheckedIssuer } from "./discovery-options.ts";
import type { LoadContext } from "./issuer-loader.ts";
import type { ReadKeySet } from "./key-set.ts";
import { integerOption, refuseUnknownMembers } from "./option-reader.ts";
import type { AttestationStatus } from "./trust-source.ts";

/** What is asked about a key: its id, which is the digest of its record, and two members of that record. */
export interface AttestedKey {
  readonly kid: string;
  readonly realm: string;
  /** As the ring signed it; it may hold `{tenantid}`. */
  readonly issuer: string;
}

/** Whether keys count that no measured machine is known to use. */
export interface AttestationOptions {
  /**
   * `require`: a key counts once its document satisfied the check. `prefer`: a key counts unless its document was
   * refused. Whoever serves the key set can leave documents out, so `prefer` informs and protects from nobody.
   */
  readonly mode: "require" | "prefer";
  /**
   * Throws, or rejects, unless the document says that this very key is used by a machine that counts. The document is
   * whatever the server sent; it may be another key's. A `code` and the message of the error get into the status.
   */
  readonly check: (key: AttestedKey, document: Uint8Array) => void | Promise<void>;
  /** For loading a document, and again for the check. Default 10000, from 100 to 60000. */
  readonly timeoutMs?: number;
}

export type AttestationPolicy = Required<AttestationOptions>;

/** Decides which keys of an issuer count. */
export interface KeyGate {
  /** Takes another set, begins to load what it needs, and says what counts until then. */
  take(set: ReadKeySet): PassedKeys;
  /** Resolves when everything was loaded, or after the time that one document may take, which is twice `timeoutMs`. */
  settled(): Promise<void>;
}

export interface GateContext extends LoadContext {
  /** Told what counts whenever that changes. */
  readonly onChange: (passed: PassedKeys) => void;
}

export type PassedKeys = Pick<ReadKeySet, "keys" | "refusals"> & {
  readonly attestation: AttestationStatus | null;
};

/**
 * @throws TypeError for a malformed option, and for `require` with an issuer without a ring: the kid of such a key is
 *   what its server says, so a document about the kid says nothing about the key
 */
export function checkAttestation(
  options: "off" | AttestationOptions = "off",
  issuers: readonly CheckedIssuer[],
): AttestationPolicy | undefined {
  if (options === "off") return undefined;
  refuseUnknownMembers(options, ["mode", "check", "timeoutMs"], "attestation");
  const { mode, check, timeoutMs = 10_000 } = options;
  if ((mode !== "require" && mode !== "prefer") || typeof check !== "function")
    throw new TypeError('attestation: expected "off" or { mode: "require" | "prefer", check }');
  if (mode === "require" && issuers.some(({ trust }) => trust.ring === null))
    throw new TypeError("attestation: require needs a ring for every issuer");
  return {
    mode,
    check,
    timeoutMs: integerOption("attestation.timeoutMs", timeoutMs, 100, 60_000),
  };
}

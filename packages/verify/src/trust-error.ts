/** Why a key, a record or a key set does not count; stable. */
export type TrustErrorCode =
  | "ERR_ATTESTATION_FETCH"
  | "ERR_ATTESTATION_MISSING"
  | "ERR_ATTESTATION_REFUSED"
  | "ERR_DISCOVERY_DOCUMENT"
  | "ERR_DISCOVERY_FETCH"
  | "ERR_DISCOVERY_ISSUER"
  | "ERR_DISCOVERY_URL"
  | "ERR_KEY_INVALID"
  | "ERR_KEY_UNTRUSTED"
  | "ERR_KEYSET_CONFLICT"
  | "ERR_KEYSET_EMPTY"
  | "ERR_KEYSET_PRIVATE"
  | "ERR_RECORD_FORM"
  | "ERR_RECORD_MEMBER";

/** Trust data that must not be used: from a registry, a key set or discovery. */
export class TrustError extends Error {
  override readonly name = "TrustError";
  readonly code: TrustErrorCode;
  /** The member at fault, where one is. */
  readonly member: string | undefined;

  constructor(
    code: TrustErrorCode,
    message: string,
    options: ErrorOptions & { readonly member?: string } = {},
  ) {
    super(message, options);
    this.code = code;
    this.member = options.member;
  }
}

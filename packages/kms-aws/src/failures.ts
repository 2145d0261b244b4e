/** What became of one request, as far as what to do next depends on it. */
export type FailureKind =
  /** Refused before it was looked at. */
  | "throttled"
  /** Nobody knows whether it was done. */
  | "transient"
  | "not-found"
  | "disabled"
  | "invalid-state"
  | "denied"
  | "full"
  | "exists"
  | "unsupported"
  | "refused"
  /** An answer that is none. */
  | "answer";

/** A request that brought no answer, or none that may be used. Its text is ours. */
export class RequestFailure extends Error {
  override readonly name = "RequestFailure";
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

// KMS API Reference: Common Errors, and the errors of each operation used here. The SDK names some of its own.
const KINDS: ReadonlyMap<string, FailureKind> = new Map([
  ["ThrottlingException", "throttled"],
  ["Throttling", "throttled"],
  ["RequestLimitExceeded", "throttled"],
  ["TooManyRequestsException", "throttled"],
  ["KMSInternalException", "transient"],
  ["DependencyTimeoutException", "transient"],
  ["KeyUnavailableException", "transient"],
  ["InternalFailure", "transient"],
  ["ServiceUnavailable", "transient"],
  ["ServiceUnavailableException", "transient"],
  ["NotFoundException", "not-found"],
  ["DisabledException", "disabled"],
  ["KMSInvalidStateException", "invalid-state"],
  ["AccessDeniedException", "denied"],
  ["UnrecognizedClientException", "denied"],
  ["InvalidClientTokenId", "denied"],
  ["InvalidSignatureException", "denied"],
  ["IncompleteSignature", "denied"],
  ["IncompleteSignatureException", "denied"],
  ["MissingAuthenticationToken", "denied"],
  ["MissingAuthenticationTokenException", "denied"],
  ["ExpiredTokenException", "denied"],
  ["RequestExpired", "denied"],
  ["NotAuthorized", "denied"],
  ["OptInRequired", "denied"],
  ["CredentialsProviderError", "denied"],
  ["LimitExceededException", "full"],
  ["AlreadyExistsException", "exists"],
  ["UnsupportedOperationException", "unsupported"],
]);

/** Whoever answers chooses name, status and text: they are looked up, never acted upon otherwise. */
export function failureKind(error: unknown): FailureKind {
  if (error instanceof RequestFailure) return error.kind;
  const known = error instanceof Error ? KINDS.get(error.name) : undefined;
  if (known) return known;
  const status = statusOf(error);
  if (status === 429) return "throttled";
  if (status >= 500) return "transient";
  if (status >= 400) return "refused";
  return "answer";
}

function statusOf(error: unknown): number {
  const metadata = memberOf(error, "$metadata");
  const status = memberOf(metadata, "httpStatusCode");
  return typeof status === "number" ? status : 0;
}

function memberOf(object: unknown, name: string): unknown {
  if (typeof object !== "object" || object === null) return undefined;
  const value: unknown = Reflect.get(object, name);
  return value;
}

const MAX_NAME = 64;
const MAX_TEXT = 300;

/**
 * What of an SDK error may go on: its name and the start of its text. THREAT-19: the object itself refers to the
 * request, with its signature and session token, and to the answer.
 */
export function causeOf(error: unknown): Error {
  if (!(error instanceof Error)) return new Error("Not an error");
  const cause = new Error(printable(error.message, MAX_TEXT));
  cause.name = printable(error.name, MAX_NAME);
  delete cause.stack;
  return cause;
}

function printable(text: unknown, max: number): string {
  return String(text)
    .slice(0, max)
    .replaceAll(/[^ -~]/g, "?");
}

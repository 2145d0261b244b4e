import { decodeBase64url } from "@redoubt/verify/base64url";
import { orRefuse, PasskeyError } from "./passkey-error.ts";

/** What a browser sends (WebAuthn §5.1), decoded; nothing of it is verified. */
interface UnverifiedAnswer {
  /** base64url. */
  readonly id: string;
  readonly clientData: Buffer;
}

export interface UnverifiedRegistration extends UnverifiedAnswer {
  readonly attestationObject: Buffer;
  readonly transports: readonly string[];
}

export interface UnverifiedAssertion extends UnverifiedAnswer {
  readonly authenticatorData: Buffer;
  readonly signature: Buffer;
  readonly userHandle: Buffer;
}

type Members = Readonly<Record<string, unknown>>;

// THREAT-26: the sizes are several times those of real answers, and small enough for any parser behind them.
const MAX_ID_BYTES = 1023;
const MAX_CLIENT_DATA_BYTES = 4096;
const MAX_ATTESTATION_BYTES = 32_768;
const MAX_AUTHENTICATOR_DATA_BYTES = 4096;
const MAX_SIGNATURE_BYTES = 1024;
const HANDLE_BYTES = 64;
const MAX_TRANSPORTS = 8;
const TRANSPORT = /^[a-z-]{1,32}$/;

/**
 * Reads a RegistrationResponseJSON. Members that nobody asks for are ignored, since browsers add new ones; they go no
 * further, because what is verified is built anew from what was read here.
 *
 * @throws PasskeyError `ERR_PASSKEY_FORM`, and nothing else
 */
export function readRegistration(json: unknown): UnverifiedRegistration {
  return orRefuse("ERR_PASSKEY_FORM", "Answer of the browser: malformed", () => {
    const outer = membersOf(json);
    const inner = membersOf(outer["response"]);
    return {
      ...readOuter(outer, inner),
      attestationObject: bytesOf(inner, "attestationObject", MAX_ATTESTATION_BYTES),
      transports: readTransports(inner["transports"]),
    };
  });
}

/**
 * As `readRegistration`, for an AuthenticationResponseJSON. A discoverable passkey always names its owner.
 *
 * @throws PasskeyError `ERR_PASSKEY_FORM`, and nothing else
 */
export function readAssertion(json: unknown): UnverifiedAssertion {
  return orRefuse("ERR_PASSKEY_FORM", "Answer of the browser: malformed", () => {
    const outer = membersOf(json);
    const inner = membersOf(outer["response"]);
    return {
      ...readOuter(outer, inner),
      authenticatorData: bytesOf(inner, "authenticatorData", MAX_AUTHENTICATOR_DATA_BYTES),
      signature: bytesOf(inner, "signature", MAX_SIGNATURE_BYTES),
      userHandle: bytesOf(inner, "userHandle", HANDLE_BYTES),
    };
  });
}

function readOuter(outer: Members, inner: Members): UnverifiedAnswer {
  const { id, rawId, type } = outer;
  if (typeof id !== "string" || id !== rawId || type !== "public-key")
    throw malformed("id or type");
  bytesOf(outer, "id", MAX_ID_BYTES);
  return { id, clientData: bytesOf(inner, "clientDataJSON", MAX_CLIENT_DATA_BYTES) };
}

function bytesOf(members: Members, name: string, maxBytes: number): Buffer {
  const text = members[name];
  if (typeof text !== "string" || text === "") throw malformed(`${name} is no text`);
  return orRefuse(
    "ERR_PASSKEY_FORM",
    `Answer of the browser: ${name} is no bounded base64url`,
    () => Buffer.from(decodeBase64url(text, { maxBytes })),
  );
}

function readTransports(value: unknown): readonly string[] {
  // WebAuthn §5.1: absent where the browser cannot tell.
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > MAX_TRANSPORTS) throw malformed("transports");
  return value.map((item: unknown) => {
    if (typeof item !== "string" || !TRANSPORT.test(item)) throw malformed("transports");
    return item;
  });
}

function membersOf(value: unknown): Members {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw malformed("no object");
  // Own members alone, read once: nothing is inherited, and `__proto__` is a name like any other.
  return Object.assign(Object.create(null), value);
}

function malformed(what: string): PasskeyError {
  return new PasskeyError("ERR_PASSKEY_FORM", `Answer of the browser: ${what}`);
}

import { decodeCredentialPublicKey } from "@simplewebauthn/server/helpers";
import { PASSKEY_ALGORITHMS, type PasskeyAlgorithm } from "./passkey.ts";
import { orRefuse, PasskeyError } from "./passkey-error.ts";

/** Labels of COSE_Key (RFC 9052 §7.1, RFC 9053 §7, RFC 8230 §4). */
const KTY = 1;
const ALG = 3;
const CRV_OR_N = -1;
const X_OR_E = -2;
const Y = -3;
const RSA_BYTES: readonly number[] = [256, 384, 512];
const COORDINATE_BYTES = 32;
const F4 = Buffer.of(1, 0, 1);

/**
 * The algorithm of a COSE_Key that is of exactly one of our three kinds: no other curve for the algorithm, and no RSA
 * key that is short enough to factor or long enough to keep the CPU busy.
 *
 * @throws PasskeyError `ERR_PASSKEY_ALGORITHM`, `ERR_PASSKEY_FORM`
 */
export function checkCredentialKey(publicKey: Uint8Array<ArrayBuffer>): PasskeyAlgorithm {
  const key: unknown = orRefuse("ERR_PASSKEY_FORM", "Credential key: malformed", () =>
    decodeCredentialPublicKey(publicKey),
  );
  const members: ReadonlyMap<unknown, unknown> = key instanceof Map ? key : new Map();
  const alg = members.get(ALG);
  const algorithm = typeof alg === "number" ? PASSKEY_ALGORITHMS.get(alg) : undefined;
  if (algorithm === undefined || !isOfKind(members, algorithm))
    throw new PasskeyError("ERR_PASSKEY_ALGORITHM", "Credential key: kind is not supported");
  return algorithm;
}

function isOfKind(key: ReadonlyMap<unknown, unknown>, algorithm: PasskeyAlgorithm): boolean {
  const kty = key.get(KTY);
  const first = key.get(CRV_OR_N);
  const second = key.get(X_OR_E);
  switch (algorithm) {
    case "ES256":
      return kty === 2 && first === 1 && isCoordinate(second) && isCoordinate(key.get(Y));
    case "EdDSA":
      return kty === 1 && first === 6 && isCoordinate(second);
    case "RS256":
      return (
        kty === 3 &&
        first instanceof Uint8Array &&
        RSA_BYTES.includes(first.length) &&
        (first[0] ?? 0) >= 0x80 &&
        second instanceof Uint8Array &&
        F4.equals(second)
      );
    default:
      throw new RangeError("Unknown algorithm");
  }
}

function isCoordinate(value: unknown): boolean {
  return value instanceof Uint8Array && value.length === COORDINATE_BYTES;
}

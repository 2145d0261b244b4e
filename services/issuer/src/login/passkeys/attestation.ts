import { decodeAttestationObject } from "@simplewebauthn/server/helpers";
import { parseCertificate, type Certificate } from "@redoubt/evidence";
import { leadsToRoot } from "./certificate-path.ts";
import type { AttestationFormat, PasskeyTrust } from "./passkey.ts";
import { orRefuse, PasskeyError } from "./passkey-error.ts";

export interface UnverifiedAttestation {
  readonly format: AttestationFormat;
  readonly authenticatorData: Uint8Array<ArrayBuffer>;
  /** The leaf first; undefined where the statement has none. */
  readonly certificates: readonly Certificate[] | undefined;
}

const MAX_CERTIFICATES = 4;
const MAX_AUTHENTICATOR_DATA_BYTES = 4096;
/** 1.3.6.1.4.1.45724.1.1.4 (WebAuthn §8.2.1): an OCTET STRING of 16 bytes. */
const AAGUID_EXTENSION = "1.3.6.1.4.1.45724.1.1.4";
const OCTETS_OF_16 = Buffer.of(0x04, 16);

/**
 * Reads the attestation object (WebAuthn §6.5) by the decoder of the library, so that both see the same. Other formats
 * than "none" and "packed" stop here: the library would verify some of them up to roots of its own choice, and fetch
 * revocation lists from addresses in the certificates.
 *
 * @throws PasskeyError `ERR_PASSKEY_FORM`, `ERR_PASSKEY_FORMAT`, `ERR_PASSKEY_ATTESTATION`
 */
export function readAttestation(attestationObject: Buffer): UnverifiedAttestation {
  return orRefuse("ERR_PASSKEY_FORM", "Attestation: malformed", () => {
    const decoded: unknown = decodeAttestationObject(new Uint8Array(attestationObject));
    if (!(decoded instanceof Map)) throw malformed();
    const [format, data, statement]: unknown[] = ["fmt", "authData", "attStmt"].map((name) =>
      decoded.get(name),
    );
    if (format !== "none" && format !== "packed")
      throw new PasskeyError("ERR_PASSKEY_FORMAT", "Attestation: format is not supported");
    if (!(data instanceof Uint8Array) || data.length > MAX_AUTHENTICATOR_DATA_BYTES)
      throw malformed();
    if (!(statement instanceof Map)) throw malformed();
    const certificates = statement.has("x5c") ? readX5c(statement.get("x5c")) : undefined;
    return { format, authenticatorData: new Uint8Array(data), certificates };
  });
}

/**
 * How much the statement proves, after the library verified its signature. The library calls all of these verified.
 *
 * @param roots those that policy and metadata name for this model
 * @throws PasskeyError `ERR_PASSKEY_CHAIN` where roots are known and the certificates lead to none of them
 */
export function trustOf(
  { format, certificates }: UnverifiedAttestation,
  { roots, now }: { readonly roots: readonly Certificate[]; readonly now: number },
): PasskeyTrust {
  if (format === "none") return "none";
  if (certificates === undefined) return "self";
  if (roots.length === 0) return "unverified";
  if (!leadsToRoot(certificates, roots, now))
    throw new PasskeyError("ERR_PASSKEY_CHAIN", "Attestation: leads to no root of this model");
  // A vendor's root may serve many models; only the certificate says which one this is.
  return namesModel(certificates) ? "chain" : "unverified";
}

/** The library compared the value with the AAGUID. */
function namesModel([leaf]: readonly Certificate[]): boolean {
  const value = leaf?.extensions.get(AAGUID_EXTENSION)?.value;
  return value?.length === 18 && value.subarray(0, 2).equals(OCTETS_OF_16);
}

function readX5c(value: unknown): readonly Certificate[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_CERTIFICATES)
    throw malformed();
  return orRefuse("ERR_PASSKEY_ATTESTATION", "Attestation: certificate cannot be read", () =>
    value.map((der: unknown) => {
      if (!(der instanceof Uint8Array)) throw malformed();
      return parseCertificate(der, "attestation");
    }),
  );
}

function malformed(): PasskeyError {
  return new PasskeyError("ERR_PASSKEY_FORM", "Attestation: malformed");
}

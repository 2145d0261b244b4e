import type { KeyObject } from "node:crypto";
import { EvidenceError } from "../evidence-error.ts";
import {
  hasAttribute,
  parsePublicArea,
  type SignatureScheme,
  type TpmObjectAttribute,
} from "./public-area.ts";
import type { TpmSignature } from "./signature.ts";

/**
 * The key that signed: its TPMT_PUBLIC, whose attributes are checked; or a bare key, when something else says that only
 * a TPM of this machine holds it and that it signs nothing but what the TPM made (Azure: the hardware report covers the
 * runtime data with HCLAkPub).
 */
export type AttestationKey =
  | { readonly publicArea: Uint8Array }
  | { readonly keyVouchedForElsewhere: KeyObject };

interface CheckedKey {
  readonly key: KeyObject;
  /** Undefined for a bare key. */
  readonly name: Buffer | undefined;
}

// TPM 2.0 Part 1 §25: restricted, so it signs nothing that only looks like a quote; the rest: it was made inside this
// TPM and never leaves it.
const REQUIRED: readonly TpmObjectAttribute[] = [
  "restricted",
  "sign",
  "fixedTPM",
  "fixedParent",
  "sensitiveDataOrigin",
];

const MIN_RSA_BITS = 2048;
const CURVES: readonly (string | undefined)[] = ["prime256v1", "secp384r1"];

/** @throws EvidenceError `ERR_EVIDENCE_KEY` for a key that may not sign quotes, or not with this scheme */
export function checkAttestationKey(ak: AttestationKey, signature: TpmSignature): CheckedKey {
  if ("keyVouchedForElsewhere" in ak) return checkBareKey(ak.keyVouchedForElsewhere, signature);
  const area = parsePublicArea(ak.publicArea);
  for (const attribute of REQUIRED)
    if (!hasAttribute(area, attribute))
      throw refusal("The key is no attestation key: an attribute is missing", attribute);
  if (hasAttribute(area, "decrypt"))
    throw refusal("The key is no attestation key: it may decrypt", "decrypt");
  checkScheme(area.scheme, signature);
  return area;
}

function checkScheme(scheme: SignatureScheme | undefined, signature: TpmSignature): void {
  if (scheme?.name !== signature.scheme || scheme.hash !== signature.hash)
    throw new EvidenceError("ERR_EVIDENCE_KEY", "The attestation key has another scheme", {
      part: "ak.scheme",
      found: `${signature.scheme} ${signature.hash}`,
      expected: scheme === undefined ? "none" : `${scheme.name} ${scheme.hash}`,
    });
}

function checkBareKey(key: KeyObject, signature: TpmSignature): CheckedKey {
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {};
  const usable =
    signature.scheme === "ecdsa"
      ? key.asymmetricKeyType === "ec" && CURVES.includes(namedCurve)
      : key.asymmetricKeyType === "rsa" && modulusLength >= MIN_RSA_BITS;
  if (!usable) throw refusal("The attestation key does not fit the signature", "key");
  return { key, name: undefined };
}

function refusal(problem: string, part: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_KEY", problem, { part: `ak.${part}` });
}

import type { SignatureAlgorithm } from "@redoubt/keys";
import { CK_PARAMS_RSA_PSS, CKA, CKG_MGF1_SHA256, CKM, type Attribute } from "./cryptoki.ts";
import type { Mechanism } from "./cryptoki.ts";

/** How one signature algorithm is said to a token. */
export interface TokenAlgorithm {
  readonly generation: number;
  readonly signing: Mechanism;
  /** Attributes of the public half that choose curve or size. */
  readonly domain: readonly Attribute[];
  /** Uses that the private half must not have: each could make a signature that this adapter never saw. */
  readonly denied: readonly number[];
  readonly signatureBytes: number;
  /** ECDSA signs the digest; the other mechanisms take the whole input. */
  readonly hashesFirst: boolean;
  /** Whether a signature takes longer than the way to the thread pool and back. */
  readonly isSlow: boolean;
}

const RSA_BITS = 3072;
const SHA256_MGF1_SHA256_SALT_32 = {
  type: CK_PARAMS_RSA_PSS,
  hashAlg: CKM.SHA256,
  mgf: CKG_MGF1_SHA256,
  saltLen: 32,
} as const;

/** DER of the curves' object identifiers, which name them in CKA_EC_PARAMS (RFC 5480, RFC 8410). */
const P256_OID = Buffer.from("06082a8648ce3d030107", "hex");
const ED25519_OID = Buffer.from("06032b6570", "hex");

const RSA = {
  generation: CKM.RSA_PKCS_KEY_PAIR_GEN,
  domain: [
    { type: CKA.MODULUS_BITS, value: RSA_BITS },
    { type: CKA.PUBLIC_EXPONENT, value: Buffer.from([1, 0, 1]) },
  ],
  denied: [CKA.DECRYPT, CKA.UNWRAP, CKA.SIGN_RECOVER],
  signatureBytes: RSA_BITS / 8,
  hashesFirst: false,
  isSlow: true,
} as const;

export const TOKEN_ALGORITHMS: Readonly<Record<SignatureAlgorithm, TokenAlgorithm>> = {
  ES256: {
    generation: CKM.EC_KEY_PAIR_GEN,
    signing: { mechanism: CKM.ECDSA },
    domain: [{ type: CKA.EC_PARAMS, value: P256_OID }],
    denied: [CKA.DERIVE],
    signatureBytes: 64,
    hashesFirst: true,
    isSlow: false,
  },
  Ed25519: {
    generation: CKM.EC_EDWARDS_KEY_PAIR_GEN,
    signing: { mechanism: CKM.EDDSA },
    domain: [{ type: CKA.EC_PARAMS, value: ED25519_OID }],
    denied: [CKA.DERIVE],
    signatureBytes: 64,
    hashesFirst: false,
    isSlow: false,
  },
  RS256: { ...RSA, signing: { mechanism: CKM.SHA256_RSA_PKCS } },
  PS256: {
    ...RSA,
    signing: { mechanism: CKM.SHA256_RSA_PKCS_PSS, parameter: SHA256_MGF1_SHA256_SALT_32 },
  },
};

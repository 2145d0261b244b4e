import { createHash, generateKeyPairSync, sign, constants, type KeyObject } from "node:crypto";
import { TPM_ALG, TPM_HASHES, type TpmHash } from "../tpm/algorithms.ts";
import { sized, u16, u32 } from "../tpm/marshal.ts";
import { encodeSelection, type PcrSelection } from "../tpm/pcr-selection.ts";
import {
  TPMA_OBJECT,
  TPM_CURVES,
  type SignatureScheme,
  type TpmCurve,
} from "../tpm/public-area.ts";
import { TPM_GENERATED_VALUE, TPM_ST_ATTEST_QUOTE } from "../tpm/quote.ts";

export const AK_ATTRIBUTES =
  TPMA_OBJECT.fixedTPM |
  TPMA_OBJECT.fixedParent |
  TPMA_OBJECT.sensitiveDataOrigin |
  TPMA_OBJECT.userWithAuth |
  TPMA_OBJECT.restricted |
  TPMA_OBJECT.sign;

export interface PublicAreaParts {
  readonly key: KeyObject;
  readonly nameAlg?: number;
  readonly attributes?: number;
  readonly authPolicy?: Uint8Array;
  readonly symmetric?: Uint8Array;
  readonly scheme?: Uint8Array;
  readonly kdf?: number;
  readonly exponent?: number;
}

export function encodeScheme({ name, hash }: SignatureScheme): Buffer {
  return Buffer.concat([u16(TPM_ALG[name]), u16(TPM_HASHES[hash].id)]);
}

/** TPMT_PUBLIC of any public key: by default that of an attestation key with the scheme that its kind suggests. */
export function encodePublicArea(parts: PublicAreaParts): Buffer {
  const {
    key,
    attributes = AK_ATTRIBUTES,
    authPolicy = Buffer.alloc(0),
    kdf = TPM_ALG.null,
  } = parts;
  const { kty, crv, n = "", x = "", y = "" } = key.export({ format: "jwk" });
  const rsa = kty === "RSA";
  const modulus = Buffer.from(n, "base64url");
  const curve = crv === "P-256" ? TPM_CURVES["P-256"] : TPM_CURVES["P-384"];
  const scheme = encodeScheme({ name: rsa ? "rsassa" : "ecdsa", hash: "sha256" });
  return Buffer.concat([
    u16(rsa ? TPM_ALG.rsa : TPM_ALG.ecc),
    u16(parts.nameAlg ?? TPM_HASHES.sha256.id),
    u32(attributes),
    sized(authPolicy),
    parts.symmetric ?? u16(TPM_ALG.null),
    parts.scheme ?? scheme,
    ...(rsa
      ? [u16(modulus.length * 8), u32(parts.exponent ?? 0), sized(modulus)]
      : [
          u16(curve.id),
          u16(kdf),
          sized(Buffer.from(x, "base64url")),
          sized(Buffer.from(y, "base64url")),
        ]),
  ]);
}

export interface QuoteParts {
  readonly magic?: number;
  readonly type?: number;
  readonly qualifiedSigner?: Uint8Array;
  readonly extraData: Uint8Array;
  readonly safe?: number;
  /** TPML_PCR_SELECTION. */
  readonly pcrSelect: Uint8Array;
  readonly pcrDigest: Uint8Array;
}

/** TPMS_ATTEST, with clock 1000, resetCount 7, restartCount 3 and firmware version 9. */
export function encodeQuote(parts: QuoteParts): Buffer {
  const { magic = TPM_GENERATED_VALUE, type = TPM_ST_ATTEST_QUOTE, safe = 1 } = parts;
  return Buffer.concat([
    u32(magic),
    u16(type),
    sized(parts.qualifiedSigner ?? Buffer.alloc(34, 0xaa)),
    sized(parts.extraData),
    u32(0),
    u32(1000),
    u32(7),
    u32(3),
    Buffer.of(safe),
    u32(0),
    u32(9),
    parts.pcrSelect,
    sized(parts.pcrDigest),
  ]);
}

export interface SyntheticAk {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly scheme: SignatureScheme;
  readonly publicArea: Buffer;
}

/** An attestation key that no TPM made: with it a test signs what it likes. */
export function syntheticAk(kind: 2048 | TpmCurve, scheme: SignatureScheme): SyntheticAk {
  const { privateKey, publicKey } =
    kind === 2048
      ? generateKeyPairSync("rsa", { modulusLength: kind })
      : generateKeyPairSync("ec", { namedCurve: kind });
  const publicArea = encodePublicArea({ key: publicKey, scheme: encodeScheme(scheme) });
  return { privateKey, publicKey, scheme, publicArea };
}

/** TPMT_SIGNATURE over any bytes, also over those that a restricted key would refuse. */
export function signAsTpm(ak: SyntheticAk, message: Uint8Array): Buffer {
  const { name, hash } = ak.scheme;
  const { privateKey: key } = ak;
  if (name === "ecdsa") {
    const value = sign(hash, message, { key, dsaEncoding: "ieee-p1363" });
    const half = value.length / 2;
    const parts = [sized(value.subarray(0, half)), sized(value.subarray(half))];
    return Buffer.concat([encodeScheme(ak.scheme), ...parts]);
  }
  const padding = name === "rsassa" ? constants.RSA_PKCS1_PADDING : constants.RSA_PKCS1_PSS_PADDING;
  return Buffer.concat([encodeScheme(ak.scheme), sized(sign(hash, message, { key, padding }))]);
}

/** A quote over these values, in ascending order of their indices. */
export function quoteParts(
  pcrs: ReadonlyMap<number, Uint8Array>,
  bank: TpmHash,
  hash: TpmHash,
  extraData: Uint8Array,
): QuoteParts {
  const selection: PcrSelection = { bank, indices: [...pcrs.keys()] };
  const pcrDigest = createHash(hash)
    .update(Buffer.concat([...pcrs.values()]))
    .digest();
  return { extraData, pcrSelect: encodeSelection(selection), pcrDigest };
}

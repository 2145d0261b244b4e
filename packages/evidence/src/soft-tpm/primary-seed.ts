import { createECDH, createHash, createPrivateKey, type KeyObject, randomBytes } from "node:crypto";
import { TPM_RH } from "../tpm/command.ts";
import { kdfA } from "../tpm/kdf.ts";
import { u32 } from "../tpm/marshal.ts";
import { TPM_CURVES, type TpmCurve } from "../tpm/public-area.ts";

export const SEED_BYTES = 32;

/** NIST SP 800-186 §3.2.1: the orders of the curves. */
const ORDERS: Readonly<Record<TpmCurve, Buffer>> = {
  "P-256": Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex"),
  "P-384": Buffer.from(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    "hex",
  ),
};
const OPENSSL_NAMES = { "P-256": "prime256v1", "P-384": "secp384r1" } as const;

export interface EccKey {
  readonly privateKey: KeyObject;
  readonly x: Buffer;
  readonly y: Buffer;
}

/** From what a TPM makes its primary keys (TPM 2.0 Part 1 §14): the same seed, hierarchy and template, the same key. */
export class PrimarySeed {
  readonly #seed: Buffer;
  /** TPM 2.0 Part 1 §14: the null hierarchy has another seed after every start. */
  readonly #nullSeed: Buffer = randomBytes(SEED_BYTES);
  /** Given from outside, so that the keys come again; otherwise the seed dies with the TPM. */
  readonly isGiven: boolean;

  /** @throws RangeError for a seed of another size */
  constructor(seed: Uint8Array | undefined) {
    if (seed !== undefined && seed.length !== SEED_BYTES)
      throw new RangeError(`Seed of the soft TPM: expected ${SEED_BYTES} bytes`);
    this.isGiven = seed !== undefined;
    this.#seed = Buffer.from(seed ?? randomBytes(SEED_BYTES));
  }

  /** The key with which sealed data leave the TPM and come back. */
  storageKey(): Buffer {
    return kdfA("sha256", this.#seed, "STORAGE", Buffer.alloc(0), 256);
  }

  eccKey(hierarchy: number, template: Uint8Array, curve: TpmCurve): EccKey {
    const seed = hierarchy === TPM_RH.null ? this.#nullSeed : this.#seed;
    const digest = createHash("sha512").update(template).digest();
    const { size } = TPM_CURVES[curve];
    const d = firstScalar(curve, (count) =>
      kdfA(
        "sha512",
        seed,
        "PRIMARY ECC",
        Buffer.concat([u32(hierarchy), digest, u32(count)]),
        size * 8,
      ),
    );
    const ecdh = createECDH(OPENSSL_NAMES[curve]);
    ecdh.setPrivateKey(d);
    const point = ecdh.getPublicKey();
    const [x, y] = [point.subarray(1, 1 + size), point.subarray(1 + size)];
    const [dText, xText, yText] = [d, x, y].map((part) => part.toString("base64url"));
    const jwk = { kty: "EC", crv: curve, d: dText ?? "", x: xText ?? "", y: yText ?? "" };
    return { privateKey: createPrivateKey({ key: jwk, format: "jwk" }), x, y };
  }
}

/**
 * The first candidate that is a private key, 1 to the order of the curve less one. Others are passed over and not
 * reduced, so that each key is as likely as every other (FIPS 186-5 §A.2.2).
 */
export function firstScalar(curve: TpmCurve, candidate: (count: number) => Buffer): Buffer {
  for (let count = 0; ; count += 1) {
    const scalar = candidate(count);
    if (scalar.some((byte) => byte !== 0) && Buffer.compare(scalar, ORDERS[curve]) < 0)
      return scalar;
  }
}

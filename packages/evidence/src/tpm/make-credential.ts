import {
  constants,
  createCipheriv,
  createHmac,
  diffieHellman,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
  type KeyObject,
} from "node:crypto";
import { EvidenceError } from "../evidence-error.ts";
import { TPM_HASHES } from "./algorithms.ts";
import { digestBits, kdfA, kdfE } from "./kdf.ts";
import { sized } from "./marshal.ts";
import type { TpmPublicArea } from "./public-area.ts";

/** A secret that only the TPM with this endorsement key gives out, and only while it holds the named key. */
export interface Credential {
  /** TPMS_ID_OBJECT: what TPM2B_ID_OBJECT holds. */
  readonly credentialBlob: Buffer;
  /** TPM2B_ENCRYPTED_SECRET without its size. */
  readonly encryptedSecret: Buffer;
}

/**
 * TPM2_MakeCredential in software (TPM 2.0 Part 1 §24). That the endorsement key belongs to a TPM, its certificate must
 * have shown.
 *
 * @param ek its public area: RSA, or ECC on P-256 or P-384
 * @param akName of the key that must be in the same TPM
 * @param secret not longer than a digest of the endorsement key's name
 * @throws EvidenceError `ERR_EVIDENCE_KEY` for a key that protects nothing; RangeError for a secret that is too long
 */
export function makeCredential(
  ek: TpmPublicArea,
  akName: Uint8Array,
  secret: Uint8Array,
): Credential {
  const { nameAlgorithm: hash, symmetricBits } = ek;
  if (secret.length > TPM_HASHES[hash].size) throw new RangeError("Secret is longer than a digest");
  if (symmetricBits === undefined)
    throw new EvidenceError("ERR_EVIDENCE_KEY", "The endorsement key is no storage key", {
      part: "ek.symmetric",
    });
  const { seed, encryptedSecret } = sharedSeed(ek);
  const storageKey = kdfA(hash, seed, "STORAGE", akName, symmetricBits);
  const cipher = createCipheriv(`aes-${symmetricBits}-cfb`, storageKey, Buffer.alloc(16));
  const identity = Buffer.concat([cipher.update(sized(secret)), cipher.final()]);
  const integrityKey = kdfA(hash, seed, "INTEGRITY", Buffer.alloc(0), digestBits(hash));
  const proof = createHmac(hash, integrityKey).update(identity).update(akName).digest();
  return { credentialBlob: Buffer.concat([sized(proof), identity]), encryptedSecret };
}

interface SharedSeed {
  readonly seed: Buffer;
  readonly encryptedSecret: Buffer;
}

/** Part 1 §B.10.4 (RSA) and §C.6.4 (ECC). */
function sharedSeed({ key, nameAlgorithm: hash }: TpmPublicArea): SharedSeed {
  const { namedCurve } = key.asymmetricKeyDetails ?? {};
  if (namedCurve === undefined) {
    const seed = randomBytes(TPM_HASHES[hash].size);
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    const oaepLabel = Buffer.from("IDENTITY\0");
    return {
      seed,
      encryptedSecret: publicEncrypt({ key, padding, oaepHash: hash, oaepLabel }, seed),
    };
  }
  const ephemeral = generateKeyPairSync("ec", { namedCurve });
  const z = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: key });
  const [x, y] = coordinates(ephemeral.publicKey);
  const seed = kdfE(hash, z, "IDENTITY", x, coordinates(key)[0]);
  return { seed, encryptedSecret: Buffer.concat([sized(x), sized(y)]) };
}

function coordinates(key: KeyObject): readonly [Buffer, Buffer] {
  const { x = "", y = "" } = key.export({ format: "jwk" });
  return [Buffer.from(x, "base64url"), Buffer.from(y, "base64url")];
}

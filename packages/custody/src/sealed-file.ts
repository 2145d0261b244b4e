import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, scryptSync } from "node:crypto";
import {
  canonicalBytes,
  MemberReader,
  readPrivateFile,
  ServiceError,
  writeDurable,
  type Secret,
} from "@redoubt/base";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject } from "@redoubt/verify/json";
import { KeyError } from "@redoubt/keys";

/** How the sealing key comes from the passphrase: a human's is stretched, a random one is not. */
export type Kdf = "scrypt" | "hkdf-sha256";

// RFC 7914 parameters: 81 MB and about 0.2 s, so that a service can open its file within its memory budget.
const SCRYPT = { N: 2 ** 15, r: 8, p: 3, maxmem: 128 * 1024 * 1024 } as const;
const HKDF_INFO = "redoubt/sealed-file/v1";
const CIPHER = "aes-256-gcm";
const KEY_BYTES = 32;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const MAX_FILE_BYTES = 64 * 1024;
const MAX_SECRET_BYTES = 32 * 1024;

export interface SealedHeader {
  readonly kdf: Kdf;
  /** What the bytes are, bound to them: a key file cannot be passed off as another kind. */
  readonly kind: string;
}

/** Seals `secret` (≤ 32 KiB) into a file of mode 0600: AES-256-GCM, the header authenticated with it. */
export function writeSealedFile(
  path: string,
  secret: Uint8Array,
  passphrase: Secret,
  { kdf, kind }: SealedHeader,
): void {
  if (secret.length > MAX_SECRET_BYTES)
    throw new RangeError(`Secret of ${secret.length} bytes: expected ≤ ${MAX_SECRET_BYTES}`);
  const salt = randomBytes(SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const header = { v: 1, kdf, kind, salt: encodeBase64url(salt), nonce: encodeBase64url(nonce) };
  const cipher = createCipheriv(CIPHER, deriveKey(kdf, passphrase, salt), nonce);
  cipher.setAAD(canonicalBytes(header));
  const sealed = Buffer.concat([cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
  writeDurable(path, canonicalBytes({ ...header, sealed: encodeBase64url(sealed) }));
}

/**
 * The bytes that were sealed.
 *
 * @throws KeyError `ERR_KEY_FILE` for a file that is absent, no sealed file or of another kind, `ERR_KEY_PASSPHRASE` when
 *   it does not open; ServiceError `ERR_FILE_*` as `readPrivateFile`
 */
export function openSealedFile(path: string, passphrase: Secret, kind: string): Buffer {
  const file = parseSealedFile(path, readExpected(path, MAX_FILE_BYTES, `a sealed ${kind}`));
  if (file.kind !== kind)
    throw new KeyError("ERR_KEY_FILE", `${path} holds a ${file.kind}, expected a ${kind}`);
  const { sealed, salt, nonce, kdf } = file;
  if (sealed.length < TAG_BYTES) throw new KeyError("ERR_KEY_FILE", `${path} is cut short`);
  const key = deriveKey(kdf, passphrase, salt);
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(file.aad);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  try {
    // `update` already gives all of the plaintext; `final` checks the tag before any of it is returned.
    const opened = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
    decipher.final();
    return opened;
  } catch (cause) {
    throw new KeyError("ERR_KEY_PASSPHRASE", `${path} does not open with this passphrase`, {
      cause,
    });
  }
}

/**
 * A file that must be there; the error says what was to be in it.
 *
 * @throws KeyError `ERR_KEY_FILE` where there is none, or no access; ServiceError `ERR_FILE_*` as `readPrivateFile`
 */
export function readExpected(path: string, maxBytes: number, wanted: string): Buffer {
  try {
    return readPrivateFile(path, maxBytes);
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause;
    throw new KeyError("ERR_KEY_FILE", `${path} cannot be read: expected ${wanted}`, { cause });
  }
}

function parseSealedFile(path: string, bytes: Buffer) {
  try {
    const reader = new MemberReader(parseJsonObject(bytes), "sealed file");
    const header = {
      v: reader.integer("v", 1, 1),
      kdf: reader.oneOf("kdf", ["scrypt", "hkdf-sha256"]),
      kind: reader.string("kind", 64, /^[A-Za-z0-9-]+$/),
      salt: reader.string("salt", 64),
      nonce: reader.string("nonce", 64),
    };
    const sealed = decodeBase64url(reader.string("sealed", MAX_FILE_BYTES));
    reader.done();
    return {
      kdf: header.kdf,
      kind: header.kind,
      salt: decodeBase64url(header.salt, { bytes: SALT_BYTES }),
      nonce: decodeBase64url(header.nonce, { bytes: NONCE_BYTES }),
      sealed,
      aad: canonicalBytes(header),
    };
  } catch (cause) {
    throw new KeyError("ERR_KEY_FILE", `${path} is not a sealed file`, { cause });
  }
}

function deriveKey(kdf: Kdf, passphrase: Secret, salt: Buffer): Buffer {
  const bytes = Buffer.from(passphrase.reveal(), "utf8");
  return kdf === "scrypt"
    ? scryptSync(bytes, salt, KEY_BYTES, SCRYPT)
    : Buffer.from(hkdfSync("sha256", bytes, salt, HKDF_INFO, KEY_BYTES));
}

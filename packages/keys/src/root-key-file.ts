import { createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import {
  canonicalBytes,
  MemberReader,
  privateFileExists,
  ServiceError,
  type Secret,
} from "@redoubt/base";
import { Base64urlError, decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { generateKeyPair } from "./algorithm.ts";
import { KeyError } from "./errors.ts";
import { parseRootForm, ROOT_KEY_NAME, type RootKey } from "./root-document.ts";
import { encodeRootPublicKey, parseRootPublicKey } from "./root-public-key.ts";
import { openPrivateKey, sealPrivateKey } from "./sealed-key.ts";

const KIND = "root-key";
const PROOF_CONTEXT = "redoubt/root-key/v1\n";
export const MAX_ROOT_KEY_BYTES = 1024;

/**
 * Makes a root key in a file that a person's passphrase seals (scrypt); returns its public part.
 *
 * @throws KeyError `ERR_KEY_FILE` where anything stands already, `ERR_ROOT_MEMBER` for a bad name
 */
export function createRootKeyFile(path: string, name: string, passphrase: Secret): Buffer {
  if (!ROOT_KEY_NAME.test(name))
    throw new KeyError("ERR_ROOT_MEMBER", `Name of a root key: expected ${ROOT_KEY_NAME.source}`);
  if (privateFileExists(path)) throw new KeyError("ERR_KEY_FILE", `${path} exists`);
  const { privateKey } = generateKeyPair("Ed25519");
  sealPrivateKey(path, privateKey, passphrase, { kdf: "scrypt", kind: KIND });
  return encodeRootKey(name, privateKey);
}

/** @throws KeyError `ERR_KEY_FILE`, `ERR_KEY_PASSPHRASE`; as `readPrivateFile` */
export function openRootKeyFile(path: string, passphrase: Secret): KeyObject {
  return openPrivateKey(path, passphrase, KIND);
}

/** The public part, with a signature that proves whoever named it had the private one. */
export function encodeRootKey(name: string, privateKey: KeyObject): Buffer {
  const publicKey = encodeRootPublicKey(createPublicKey(privateKey));
  const proof = sign(null, provenBytes({ name, alg: "Ed25519", publicKey }), privateKey);
  return canonicalBytes({ v: 1, name, alg: "Ed25519", publicKey, proof: encodeBase64url(proof) });
}

/** @throws KeyError `ERR_ROOT_FORM`, `ERR_ROOT_MEMBER`, `ERR_KEY_ALG`, `ERR_ROOT_SIGNATURE` without its proof */
export function parseRootKey(bytes: Uint8Array): RootKey {
  try {
    const reader = new MemberReader(parseRootForm(bytes, MAX_ROOT_KEY_BYTES), "root key");
    reader.integer("v", 1, 1);
    const name = reader.string("name", 32, ROOT_KEY_NAME);
    const alg = reader.oneOf("alg", ["Ed25519"]);
    const publicKey = reader.string("publicKey", 64);
    const proof = decodeBase64url(reader.string("proof", 128), { bytes: 64 });
    reader.done();
    const key = { name, alg, publicKey };
    if (!verify(null, provenBytes(key), parseRootPublicKey(publicKey), proof))
      throw new KeyError("ERR_ROOT_SIGNATURE", `Root key ${name} does not prove itself`);
    return key;
  } catch (cause) {
    if (!(cause instanceof ServiceError) && !(cause instanceof Base64urlError)) throw cause;
    throw new KeyError("ERR_ROOT_MEMBER", cause.message, { cause });
  }
}

function provenBytes({ name, alg, publicKey }: RootKey): Buffer {
  return Buffer.concat([
    Buffer.from(PROOF_CONTEXT, "utf8"),
    canonicalBytes({ v: 1, name, alg, publicKey }),
  ]);
}

import type { KeyObject } from "node:crypto";
import { privateFileExists, type Secret } from "@redoubt/base";
import { encodeRootKey, ROOT_KEY_NAME } from "@redoubt/registry";
import { generateKeyPair, KeyError } from "@redoubt/keys";
import { openPrivateKey, sealPrivateKey } from "@redoubt/custody";

const KIND = "root-key";

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

import { createPublicKey, type KeyObject } from "node:crypto";
import { privateFileExists, Secret, writeDurable } from "@redoubt/base";
import { KeyError } from "@redoubt/keys";
import { generateKeyPair, type SignatureAlgorithm } from "@redoubt/keys";
import { readExpected } from "./sealed-file.ts";
import { openPrivateKey, sealPrivateKey } from "./sealed-key.ts";

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

const KIND = "private-key";

/**
 * Makes a key in a sealed file whose random passphrase lies beside it (`<path>.pass`, 0600).
 * Label: `plain-file` — it keeps the key out of a careless copy of one file, nothing more.
 *
 * @throws KeyError `ERR_KEY_FILE` where the path exists: an identity is never replaced
 */
export function createKeyFile(path: string, alg: SignatureAlgorithm): KeyPair {
  if (privateFileExists(path)) throw new KeyError("ERR_KEY_FILE", `${path} exists`);
  const pair = generateKeyPair(alg);
  const passphrase = Secret.random();
  writeDurable(`${path}.pass`, passphrase.reveal());
  sealPrivateKey(path, pair.privateKey, passphrase, { kdf: "hkdf-sha256", kind: KIND });
  return pair;
}

/**
 * A key that is to take another's place: made here, or, where `isPrepared` says so, by an earlier attempt. Whoever stole
 * the key before it could have put a key of theirs there. So a file that is there is used only if somebody says so.
 *
 * @throws KeyError `ERR_KEY_FILE` where there is one and nobody said so
 */
export function nextKeyFile(path: string, isPrepared: boolean): KeyPair {
  if (isPrepared) return openKeyFile(path);
  if (privateFileExists(path))
    throw new KeyError(
      "ERR_KEY_FILE",
      `${path} is there already. If you made it, say --prepared; if you did not, it may be a thief's: remove it`,
    );
  return createKeyFile(path, "Ed25519");
}

/** @throws KeyError `ERR_KEY_FILE`, `ERR_KEY_PASSPHRASE`; as `readPrivateFile` */
export function openKeyFile(path: string): KeyPair {
  const privateKey = openPrivateKey(path, readPassphrase(`${path}.pass`), KIND);
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/**
 * THREAT-19: an empty passphrase, of a file cut short, protects nothing.
 *
 * @throws KeyError `ERR_KEY_FILE` without the file, `ERR_KEY_PASSPHRASE` for an empty one; as `readPrivateFile`
 */
export function readPassphrase(path: string): Secret {
  const wanted = "a file of mode 0600 with the PIN or passphrase";
  const text = readExpected(path, 1024, wanted).toString("utf8").trim();
  if (text === "") throw new KeyError("ERR_KEY_PASSPHRASE", `${path} holds no passphrase`);
  return new Secret(text);
}

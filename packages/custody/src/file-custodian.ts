import { createPublicKey, randomBytes, type KeyObject } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  checkPrivateFolder,
  privateFileExists,
  Secret,
  ServiceError,
  writeDurable,
} from "@redoubt/base";
import {
  generateKeyPair,
  publicJwk,
  SIGNATURE_ALGORITHMS,
  signerFor,
  type SignatureAlgorithm,
} from "@redoubt/keys";
import type { Custodian, CustodyKey } from "./custody.ts";
import { KeyError, type KeyErrorCode } from "@redoubt/keys";
import { readPassphrase } from "./key-file.ts";
import type { Kdf } from "./sealed-file.ts";
import { openPrivateKey, sealPrivateKey } from "./sealed-key.ts";

export interface FileCustodianOptions {
  /** A 0700 folder of this process. */
  readonly folder: string;
  /**
   * A human's passphrase (stretched, label `sealed-file`), or `"beside"`: a random one kept in a 0600 file in the
   * same folder (label `plain-file`).
   */
  readonly passphrase: Secret | "beside";
}

const ID = /^[0-9a-f]{32}$/;
const MAX_PROOFS = 4;
const PASSPHRASE_FILE = "passphrase";

/**
 * Keys as sealed files, one each; for machines without an HSM. One process per folder.
 *
 * @throws ServiceError `ERR_FILE_*` for a folder that is open to others; KeyError `ERR_KEY_FILE` where there is none,
 *   `ERR_KEY_PASSPHRASE` where the passphrase is not that of the keys in it
 */
export function openFileCustodian({ folder, passphrase }: FileCustodianOptions): Custodian {
  checkFolder(folder, "ERR_KEY_FILE");
  return passphrase === "beside"
    ? new FileCustodian("plain-file", folder, besidePassphrase(folder), "hkdf-sha256")
    : new FileCustodian("sealed-file", folder, passphrase, "scrypt");
}

class FileCustodian implements Custodian {
  readonly label: "plain-file" | "sealed-file";
  readonly #folder: string;
  readonly #passphrase: Secret;
  readonly #kdf: Kdf;
  readonly #open = new Set<string>();

  constructor(label: "plain-file" | "sealed-file", folder: string, passphrase: Secret, kdf: Kdf) {
    this.label = label;
    this.#folder = folder;
    this.#passphrase = passphrase;
    this.#kdf = kdf;
    this.#provePassphrase();
  }

  // A mistyped passphrase must not seal new keys, which the right one would not open. One of a few keys has to open, not
  // each: a damaged file must not keep the other keys from being used.
  #provePassphrase(): void {
    const failures = [];
    for (const { id, alg } of listKeys(this.#folder).slice(0, MAX_PROOFS))
      try {
        openPrivateKey(keyPath(this.#folder, id, alg), this.#passphrase, alg);
        return;
      } catch (cause) {
        failures.push(cause);
      }
    if (failures.length > 0)
      throw new KeyError("ERR_KEY_PASSPHRASE", `No key in ${this.#folder} opens`, {
        cause: failures[0],
      });
  }

  async generate(alg: SignatureAlgorithm): Promise<CustodyKey> {
    checkFolder(this.#folder);
    const id = randomBytes(16).toString("hex");
    const { privateKey } = generateKeyPair(alg);
    sealPrivateKey(keyPath(this.#folder, id, alg), privateKey, this.#passphrase, {
      kdf: this.#kdf,
      kind: alg,
    });
    return this.#custodyKey(id, alg, privateKey);
  }

  async open(id: string): Promise<CustodyKey> {
    checkFolder(this.#folder);
    const alg = findAlgorithm(this.#folder, id);
    const privateKey = openPrivateKey(keyPath(this.#folder, id, alg), this.#passphrase, alg);
    return this.#custodyKey(id, alg, privateKey);
  }

  async list(): Promise<readonly string[]> {
    checkFolder(this.#folder, "ERR_KEY_FILE");
    return listKeys(this.#folder).map(({ id }) => id);
  }

  async destroy(id: string): Promise<void> {
    if (!ID.test(id)) throw new KeyError("ERR_KEY_UNKNOWN", "Key id is malformed");
    checkFolder(this.#folder);
    this.#open.delete(id);
    for (const alg of SIGNATURE_ALGORITHMS) rmSync(keyPath(this.#folder, id, alg), { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#open.clear();
  }

  // The right to use a key ends with the key and with the session, for whoever still holds it.
  #custodyKey(id: string, alg: SignatureAlgorithm, privateKey: KeyObject): CustodyKey {
    const publicKey = createPublicKey(privateKey);
    const signWithKey = signerFor(alg, privateKey, publicKey);
    this.#open.add(id);
    return {
      id,
      alg,
      publicJwk: publicJwk(publicKey),
      sign: (input) => {
        if (!this.#open.has(id))
          throw new KeyError("ERR_KEY_UNKNOWN", "Key is destroyed or its custody is closed");
        return signWithKey(input);
      },
    };
  }
}

/** Without the folder, say because its volume is not mounted, nobody can tell which keys there are. */
function checkFolder(folder: string, code: KeyErrorCode = "ERR_KEY_BUSY"): void {
  try {
    checkPrivateFolder(folder);
  } catch (cause) {
    // This says already what is wrong: open to others, of another user, not a folder.
    if (cause instanceof ServiceError) throw cause;
    const message = `${folder} is not there: expected the 0700 folder of sealed keys`;
    throw new KeyError(code, message, { cause });
  }
}

function keyPath(folder: string, id: string, alg: SignatureAlgorithm): string {
  return join(folder, `${id}.${alg}.key`);
}

/** The keys by the names of their files; what a crash left under a temporary name is none. */
function listKeys(folder: string): { id: string; alg: SignatureAlgorithm }[] {
  return readdirSync(folder)
    .toSorted()
    .flatMap((name) => {
      const id = name.slice(0, 32);
      const alg = SIGNATURE_ALGORITHMS.find((a) => name === `${id}.${a}.key`);
      return alg && ID.test(id) ? [{ id, alg }] : [];
    });
}

function findAlgorithm(folder: string, id: string): SignatureAlgorithm {
  const alg = ID.test(id)
    ? SIGNATURE_ALGORITHMS.find((a) => privateFileExists(keyPath(folder, id, a)))
    : undefined;
  if (!alg) throw new KeyError("ERR_KEY_UNKNOWN", "Custody holds no key with this id");
  return alg;
}

// A lost passphrase is never replaced while there are keys that only it opens.
function besidePassphrase(folder: string): Secret {
  const path = join(folder, PASSPHRASE_FILE);
  if (!privateFileExists(path)) {
    if (listKeys(folder).length > 0)
      throw new KeyError("ERR_KEY_PASSPHRASE", `${path} is gone, the keys it opens are not`);
    writeDurable(path, Secret.random().reveal());
  }
  return readPassphrase(path);
}

import { randomBytes } from "node:crypto";
import { ServiceError } from "@redoubt/base";
import { type Custodian, type CustodyKey } from "@redoubt/custody";
import {
  generateKeyPair,
  KeyError,
  publicJwk,
  signerFor,
  type SignatureAlgorithm,
} from "@redoubt/keys";

/** Real keys in memory; may be out of order for a while. */
export class MemoryCustodian implements Custodian {
  readonly label = "plain-file";
  readonly #keys = new Map<string, CustodyKey>();
  isDown = false;

  async generate(alg: SignatureAlgorithm): Promise<CustodyKey> {
    if (this.isDown) throw new ServiceError("ERR_CUSTODY_DOWN", "Custody is away");
    const { privateKey, publicKey } = generateKeyPair(alg);
    const sign = signerFor(alg, privateKey, publicKey);
    const id = randomBytes(16).toString("hex");
    const key = { id, alg, publicJwk: publicJwk(publicKey), sign };
    this.#keys.set(id, key);
    return key;
  }

  async open(id: string): Promise<CustodyKey> {
    const key = this.#keys.get(id);
    if (!key) throw new KeyError("ERR_KEY_UNKNOWN", "Custody holds no key with this id");
    return key;
  }

  async list(): Promise<readonly string[]> {
    return [...this.#keys.keys()];
  }

  async destroy(id: string): Promise<void> {
    this.#keys.delete(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#keys.clear();
  }
}

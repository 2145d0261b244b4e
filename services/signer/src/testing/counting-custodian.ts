import { randomBytes } from "node:crypto";
import { ServiceError } from "@redoubt/base";
import {
  generateKeyPair,
  KeyError,
  publicJwk,
  signerFor,
  type Custodian,
  type CustodyKey,
  type SignatureAlgorithm,
} from "@redoubt/keys";

/** Real keys in memory, over any number of signer runs; counts every use of a private half. */
export class CountingCustodian implements Custodian {
  readonly label = "plain-file";
  readonly keys = new Map<string, CustodyKey>();
  readonly destroyed: string[] = [];
  generated = 0;
  signed = 0;
  isFull = false;

  async generate(alg: SignatureAlgorithm): Promise<CustodyKey> {
    if (this.isFull) throw new ServiceError("ERR_CUSTODY_FULL", "Custody is full");
    const { privateKey, publicKey } = generateKeyPair(alg);
    const sign = signerFor(alg, privateKey, publicKey);
    const key: CustodyKey = {
      id: randomBytes(16).toString("hex"),
      alg,
      publicJwk: publicJwk(publicKey),
      sign: (input) => {
        this.signed += 1;
        return sign(input);
      },
    };
    this.keys.set(key.id, key);
    this.generated += 1;
    return key;
  }

  async open(id: string): Promise<CustodyKey> {
    const key = this.keys.get(id);
    if (!key) throw new KeyError("ERR_KEY_UNKNOWN", "Custody holds no key with this id");
    return key;
  }

  async list(): Promise<readonly string[]> {
    return [...this.keys.keys()];
  }

  async destroy(id: string): Promise<void> {
    if (this.keys.delete(id)) this.destroyed.push(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The keys outlive the signer, as those of an HSM do.
  }
}

import { randomBytes } from "node:crypto";
import { ServiceError } from "@redoubt/base";
import { type Custodian, type CustodyKey, type RefusedKey } from "@redoubt/custody";
import {
  generateKeyPair,
  KeyError,
  publicJwk,
  signerFor,
  type SignatureAlgorithm,
} from "@redoubt/keys";

export type CustodyCall = "generate" | "open" | "list" | "destroy" | "audit" | "sign";

/** Real keys in memory, over any number of signer runs; counts every use of a private half. */
export class CountingCustodian implements Custodian {
  readonly label = "plain-file";
  readonly keys = new Map<string, CustodyKey>();
  readonly destroyed: string[] = [];
  generated = 0;
  signed = 0;
  isFull = false;
  /** What the next audits name. */
  refused: readonly RefusedKey[] = [];
  audits = 0;
  /** Throws what a call shall fail with: custody that is away, throttled, or has one bad key. */
  before: (call: CustodyCall, id?: string) => void = () => undefined;

  async generate(alg: SignatureAlgorithm): Promise<CustodyKey> {
    this.before("generate");
    if (this.isFull) throw new ServiceError("ERR_CUSTODY_FULL", "Custody is full");
    const { privateKey, publicKey } = generateKeyPair(alg);
    const sign = signerFor(alg, privateKey, publicKey);
    const key: CustodyKey = {
      id: randomBytes(16).toString("hex"),
      alg,
      publicJwk: publicJwk(publicKey),
      sign: (input) => {
        this.before("sign", key.id);
        this.signed += 1;
        return sign(input);
      },
    };
    this.keys.set(key.id, key);
    this.generated += 1;
    return key;
  }

  async open(id: string): Promise<CustodyKey> {
    this.before("open", id);
    const key = this.keys.get(id);
    if (!key) throw new KeyError("ERR_KEY_UNKNOWN", "Custody holds no key with this id");
    return key;
  }

  async list(): Promise<readonly string[]> {
    this.before("list");
    return [...this.keys.keys()];
  }

  async destroy(id: string): Promise<void> {
    this.before("destroy", id);
    if (this.keys.delete(id)) this.destroyed.push(id);
  }

  async audit(): Promise<readonly RefusedKey[]> {
    this.before("audit");
    this.audits += 1;
    return this.refused;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The keys outlive the signer, as those of an HSM do.
  }
}

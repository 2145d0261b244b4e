import { join } from "node:path";
import { openFileCustodian, type Custodian, type CustodyKey } from "@redoubt/custody";
import type { StolenKey } from "@redoubt/cli/drill";

/**
 * Custody with a hole: every key that a signer makes can also be used behind its back, as the key of 2023 was.
 * Only a test can compose a signer with it.
 */
export class LeakyCustody {
  readonly #keys: CustodyKey[] = [];

  open(signerFolder: string): Custodian {
    const sound = openFileCustodian({
      folder: join(signerFolder, "custody"),
      passphrase: "beside",
    });
    return {
      label: sound.label,
      generate: async (alg) => this.#leak(await sound.generate(alg)),
      open: async (id) => this.#leak(await sound.open(id)),
      list: () => sound.list(),
      destroy: (id) => sound.destroy(id),
      [Symbol.asyncDispose]: () => sound[Symbol.asyncDispose](),
    };
  }

  /** The private use of a key that a JWKS lists. */
  steal(jwk: { readonly kid?: unknown; readonly x?: unknown }): StolenKey {
    const key = this.#keys.find(({ publicJwk }) => publicJwk["x"] === jwk.x);
    if (!key || typeof jwk.kid !== "string") throw new RangeError("No such key was made");
    return {
      kid: jwk.kid,
      sign: (input) => {
        const signature = key.sign(input);
        if (signature instanceof Promise) throw new TypeError("ES256 signs at once");
        return signature;
      },
    };
  }

  #leak(key: CustodyKey): CustodyKey {
    this.#keys.push(key);
    return key;
  }
}

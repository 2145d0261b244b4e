import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { ServiceError } from "@redoubt/base";
import { openAuthorKey } from "@redoubt/custody";
import { type Registry, type StatementSigner } from "@redoubt/registry";
import { KeyError } from "@redoubt/keys";
import { SIGNER_FILES } from "../initialise.ts";

/**
 * Signs with the ring key that the registry names for this realm now; a root may name another at any time. Where the
 * key's file is gone, tokens are still issued, but no token key can change any more.
 */
export class RingSigner implements StatementSigner {
  readonly #folder: string;
  readonly #realm: string;
  readonly #registry: () => Registry;
  #opened: { readonly former: number; readonly privateKey: KeyObject } | undefined;

  constructor(folder: string, realm: string, registry: () => Registry) {
    this.#folder = folder;
    this.#realm = realm;
    this.#registry = registry;
  }

  get name(): string {
    return this.#info().ring.name;
  }

  /** @throws ServiceError `ERR_SIGNER_RING` where this signer does not hold it, `ERR_SIGNER_REALM` */
  get privateKey(): KeyObject {
    const { ring: current, formerRings: former } = this.#info();
    if (this.#opened?.former === former.length) return this.#opened.privateKey;
    try {
      const { privateKey } = openAuthorKey(join(this.#folder, SIGNER_FILES.ring), {
        current,
        former,
      });
      this.#opened = { former: former.length, privateKey };
      return privateKey;
    } catch (cause) {
      if (!(cause instanceof KeyError)) throw cause;
      throw new ServiceError(
        "ERR_SIGNER_RING",
        `No key of ${this.#realm} can change without its ring key (${cause.message}): redoubt recover ring`,
      );
    }
  }

  #info() {
    const info = this.#registry().realms.get(this.#realm);
    if (!info) throw new ServiceError("ERR_SIGNER_REALM", `Realm ${this.#realm} is not registered`);
    return info;
  }
}

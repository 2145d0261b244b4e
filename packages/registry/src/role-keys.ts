import type { KeyObject } from "node:crypto";
import { encodeCanonical } from "@redoubt/base";
import { publicJwk } from "@redoubt/keys";
import { KeyError } from "@redoubt/keys";

/**
 * What a public key is for: `operator`, `ring:<realm>`, `writer:<realm>`, `log:<realm>`, `token:<kid>`, `root:<kind>`,
 * `pinned:<what>`; of a key that was replaced, `former ` and one of these.
 */
export type KeyRole = string;

/**
 * Every public key that a registry ever named, each in one role for ever: a ring key that also signed tokens, or a
 * writer that also held the log key, would make one theft two.
 */
export class RoleKeys {
  readonly #roles = new Map<string, KeyRole>();

  /** @throws KeyError `ERR_STATEMENT_CONFLICT` if the key serves something else */
  check(publicKey: Readonly<Record<string, string>>, role: KeyRole): void {
    const found = this.#roles.get(encodeCanonical(publicKey));
    if (found !== undefined && found !== role)
      throw new KeyError("ERR_STATEMENT_CONFLICT", `Public key of ${role} serves ${found}`);
  }

  add(publicKey: Readonly<Record<string, string>>, role: KeyRole): void {
    this.#roles.set(encodeCanonical(publicKey), role);
  }

  /** As `check`. */
  checkKey(key: KeyObject, role: KeyRole): void {
    this.check(publicJwk(key), role);
  }

  addKey(key: KeyObject, role: KeyRole): void {
    this.add(publicJwk(key), role);
  }
}

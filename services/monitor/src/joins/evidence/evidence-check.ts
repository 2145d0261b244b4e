import { setImmediate } from "node:timers/promises";
import type { Registry } from "@redoubt/registry";
import type { ForeignKey } from "../../alarms/jwks-watch.ts";
import { isEvidenceSigned, type EvidenceKey } from "./evidence-signature.ts";
import type { EvidenceItem } from "../reports/report-format.ts";

export type EvidenceVerdict =
  | { readonly kind: "forged"; readonly detail: Readonly<Record<string, string>> }
  | { readonly kind: "unjudged"; readonly why: string }
  | { readonly kind: "bad" };

export interface EvidenceParts {
  readonly registry: Registry;
  /** Keys that a JWKS of ours served and the registry does not know. */
  readonly foreignKeys: (kid: string) => readonly ForeignKey[];
  /** Polls the JWKS again, unless that was done just now. */
  readonly refreshJwks: () => Promise<void>;
}

/** Holds evidence against every key that a verifier of ours could have accepted. */
export class EvidenceCheck {
  /** How often one reporter may try with one digest. */
  readonly maxAttempts = 3;
  readonly #parts: EvidenceParts;

  constructor(parts: EvidenceParts) {
    this.#parts = parts;
  }

  /** The item is a reporter's: the kid only says which key to try. */
  async judge(item: EvidenceItem): Promise<EvidenceVerdict> {
    // A verification takes milliseconds: other requests get their turn in between.
    await setImmediate();
    const { registry, foreignKeys, refreshJwks } = this.#parts;
    const key = registry.keys.get(item.kid);
    if (key && (await isEvidenceSigned({ alg: key.record.alg, jwk: key.record.publicKey }, item)))
      return { kind: "forged", detail: { kid: item.kid, realm: key.realm, via: "registered-key" } };
    if (!key && foreignKeys(item.kid).length === 0) await refreshJwks();
    for (const foreign of foreignKeys(item.kid))
      // oxlint-disable-next-line no-await-in-loop -- one key that fits is enough
      if (await isEvidenceSigned(foreign satisfies EvidenceKey, item))
        return {
          kind: "forged",
          detail: { kid: item.kid, issuer: foreign.issuer, via: "foreign-key" },
        };
    const algorithms = [key?.record.alg, ...foreignKeys(item.kid).map(({ alg }) => alg)];
    // An Ed25519 signature says nothing without its signing input: that is not a bad one.
    return item.signingInput === undefined && algorithms.includes("Ed25519")
      ? { kind: "unjudged", why: "no signing input" }
      : { kind: "bad" };
  }
}

import type { KeyInfo, Registry } from "@redoubt/registry";
import type { Ring, StepPolicy } from "@redoubt/keys";
import type { SignerKey } from "./signer-keys.ts";

/** What of the registry decides about keys. */
export type KeyFold = Pick<Registry, "keys" | "ringOf">;

/** The ring of a key. What no signer tells of custody is taken to be as it must be. */
export function ringOf(
  key: KeyInfo,
  fold: KeyFold,
  policy: StepPolicy | undefined,
  signers: ReadonlyMap<string, SignerKey> = new Map(),
): Ring<KeyInfo> {
  const name = fold.ringOf(key.record);
  return {
    keys: [...fold.keys.values()].filter(({ record }) => fold.ringOf(record) === name),
    policy,
    isHeld: ({ kid }) => signers.get(kid)?.held !== false,
  };
}

import type { KeyInfo, Registry } from "@redoubt/registry";
import type { Ring, StepPolicy } from "@redoubt/keys";

/** What a realm's signer says of a key. */
export interface SignerKey {
  readonly state: string;
  /** Whether its custody has the private half; null where the signer does not use the key. */
  readonly held: boolean | null;
}

/** The part of the registry that decides about keys. */
export type KeyFold = Pick<Registry, "keys" | "ringOf">;

/** The ring of a key. A key counts as held by custody unless its signer says that it is not. */
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

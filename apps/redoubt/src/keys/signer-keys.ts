import type { RealmKey, RingKeyStatus } from "@redoubt/wire";

/** What a realm's signer says of a key. */
export interface SignerKey {
  readonly state: string;
  /** Whether its custody has the private half; null where the signer does not use the key. */
  readonly held: boolean | null;
}

interface Rings {
  readonly rings: readonly { readonly keys: readonly RingKey[] }[];
}
type RingKey = Pick<RingKeyStatus, "kid" | "state" | "held">;

/** The answers to `fetchKeys` and `rings` (docs/spec/wire.md §3), joined by kid. */
export function joinSignerKeys(
  fetched: { readonly keys: readonly Pick<RealmKey, "kid" | "state">[] },
  { rings }: Rings,
): ReadonlyMap<string, SignerKey> {
  const keys = new Map<string, SignerKey>();
  for (const { kid, state } of fetched.keys) keys.set(kid, { state, held: null });
  for (const { kid, state, held } of rings.flatMap((ring) => ring.keys))
    keys.set(kid, { state, held });
  return keys;
}

import { isJsonObject, MemberReader } from "@redoubt/base";
import type { JsonObject, JsonValue } from "@redoubt/verify/json";

/** What a realm's signer says of a key. */
export interface SignerKey {
  readonly state: string;
  /** Whether its custody has the private half; null where the signer does not use the key. */
  readonly held: boolean | null;
  /** From when on it may sign, in seconds since the epoch, where it waits for that. */
  readonly readyAt?: number;
}

const MAX_KEYS = 100_000;
const MAX_RINGS = 16;

/** The answers to `fetchKeys` and `rings` (docs/spec/wire.md §3), joined by kid. */
export function parseSignerKeys(
  fetched: JsonObject,
  rings: JsonObject,
): ReadonlyMap<string, SignerKey> {
  const keys = new Map<string, SignerKey>();
  for (const key of readers(new MemberReader(fetched, "keys of the signer"), "keys", MAX_KEYS))
    keys.set(key.string("kid", 64), { state: key.string("state", 32), held: null });
  for (const ring of readers(new MemberReader(rings, "rings of the signer"), "rings", MAX_RINGS))
    for (const key of readers(ring, "keys", MAX_KEYS))
      keys.set(key.string("kid", 64), {
        state: key.string("state", 32),
        held: key.boolean("held"),
        ...readyAt(key),
      });
  return keys;
}

function readyAt(key: MemberReader): Pick<SignerKey, "readyAt"> {
  if (!key.has("readyAt") || key.isNull("readyAt")) return {};
  return { readyAt: key.integer("readyAt", 0, Number.MAX_SAFE_INTEGER) };
}

function readers(from: MemberReader, name: string, max: number): MemberReader[] {
  return from.array(name, max).map((value: JsonValue) => {
    return new MemberReader(isJsonObject(value) ? value : {}, `${name} of the signer`);
  });
}

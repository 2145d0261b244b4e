import { jwkOf, type KeyInfo, type Registry } from "@redoubt/registry";
import { isDrill, isPublished } from "@redoubt/keys";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { RealmKey, RealmKeys } from "@redoubt/wire";

/** P6: relying parties fetch again after this time. A key is published for much longer before it signs. */
const REFRESH_HINT_SECONDS = 300;
/** As many as fit into one frame's head, unless their records name many tenants. */
const MAX_KEYS = 48;

/** The keys of a realm that relying parties may meet, signing keys before drill keys, newest first. */
export function keysOfRealm(
  registry: Registry,
  realm: string,
  nowSeconds: number,
): readonly KeyInfo[] {
  const own = [...registry.keys.values()].filter(
    (key) => key.realm === realm && isWorthListing(key, nowSeconds),
  );
  const drills = own.filter(({ record }) => isDrill(record));
  const others = own.filter(({ record }) => !isDrill(record));
  return [...others.toReversed(), ...drills.toReversed()].slice(0, MAX_KEYS);
}

/** Ended keys stay in the registry for ever; an answer that grew with them would stop fitting one day. */
function isWorthListing({ state, record }: KeyInfo, nowSeconds: number): boolean {
  const isWithdrawn = state === "tainted" || state === "revoked";
  return (
    (isPublished(state) || state === "generated" || isWithdrawn) && nowSeconds < record.verifyUntil
  );
}

/** The answer to `fetchKeys`, of the registry as it was read. */
export function describeKeys(
  keys: readonly KeyInfo[],
  registry: Pick<RealmKeys, "asOf" | "asOfSeconds">,
): RealmKeys {
  return { ...registry, keys: keys.map(listed), refreshHintSeconds: REFRESH_HINT_SECONDS };
}

function listed(key: KeyInfo): RealmKey {
  return {
    kid: key.kid,
    state: key.state,
    stateAt: key.stateAt,
    index: key.index,
    jwk: jwkOf(key),
    record: encodeBase64url(key.recordBytes),
    ring: encodeBase64url(key.ringSignature),
  };
}

import { jwkOf, type KeyInfo, type Registry } from "@redoubt/registry";
import { isDrill, isPublished } from "@redoubt/keys";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { RealmKey, RealmKeys } from "@redoubt/wire";

const REFRESH_HINT_SECONDS = 300;
/** What fits into one frame's head, records of many tenants aside. */
const MAX_KEYS = 48;

/** The keys of a realm that relying parties may meet, signing keys before drill keys, newest first. */
export function listKeys(
  registry: Registry,
  realm: string,
  since: number,
  nowSeconds: number,
): RealmKeys {
  const own = [...registry.keys.values()].filter(
    (key) => key.realm === realm && isWorthListing(key, nowSeconds),
  );
  const drills = own.filter(({ record }) => isDrill(record));
  const others = own.filter(({ record }) => !isDrill(record));
  const keys = [...others.toReversed(), ...drills.toReversed()].slice(0, MAX_KEYS);
  return {
    asOf: registry.size,
    keys: since >= registry.size ? [] : keys.map(listed),
    refreshHintSeconds: REFRESH_HINT_SECONDS,
  };
}

/** Ended keys stay in the registry for ever; an answer that grew with them would stop fitting one day. */
function isWorthListing({ state, record }: KeyInfo, nowSeconds: number): boolean {
  const isWithdrawn = state === "tainted" || state === "revoked";
  return (
    (isPublished(state) || state === "generated" || isWithdrawn) && nowSeconds < record.verifyUntil
  );
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

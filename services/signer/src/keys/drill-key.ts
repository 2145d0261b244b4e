import { createPublicKey, type KeyObject } from "node:crypto";
import { errorLine, MemberReader, ServiceError } from "@redoubt/base";
import { DRILL_AUDIENCE, type Registry } from "@redoubt/registry";
import { publicJwk, signKeyRecord, type SignedKeyRecord } from "@redoubt/keys";
import type { JsonObject } from "@redoubt/verify/json";
import type { DrillKeyRequest } from "@redoubt/wire";

/** docs/spec/key-record.md §5: a drill key lives an hour at most, unless its window is already over. */
const MAX_LIFE_SECONDS = 3600;

export interface DrillRealm {
  readonly realm: string;
  readonly log: string;
  readonly registry: Registry;
}

/**
 * The record of a drill key. The caller chooses the public key, the tenant and the window; realm, issuer, class and
 * audience are not its to choose, so that no relying party but a drill's can ever be reached.
 */
export function signDrillRecord(
  { publicKey, tenant, issuer, ...window }: DrillKeyRequest,
  { realm, log, registry }: DrillRealm,
  ringKey: KeyObject,
  nowSeconds: number,
): SignedKeyRecord {
  const info = registry.realms.get(realm);
  if (!info || registry.tenants.get(`${realm}/${tenant}`)?.status !== "active")
    throw new ServiceError("ERR_SIGNER_HANDLE", "Drill tenant is not active in this realm");
  if (issuer !== undefined && issuer !== info.issuer)
    throw new ServiceError("ERR_SIGNER_HANDLE", "Drill issuer is not this realm's");
  if (window.verifyUntil > nowSeconds + MAX_LIFE_SECONDS)
    throw new ServiceError("ERR_SIGNER_TTL", `A drill key lives ${MAX_LIFE_SECONDS} s at most`);
  const fields = {
    ...window,
    alg: "ES256",
    publicKey: importP256(publicKey),
    realm,
    issuer: info.issuer,
    tenants: { ids: [tenant] },
    class: "at",
    audiences: [DRILL_AUDIENCE],
    maxLifetimeSeconds: MAX_LIFE_SECONDS,
    custody: "drill",
    issuanceFloor: "audit",
    log,
  };
  try {
    return signKeyRecord(fields, ringKey);
  } catch (cause) {
    throw new ServiceError("ERR_REQUEST_MEMBER", `drillKey: ${errorLine(cause)}`, { cause });
  }
}

function importP256(jwk: JsonObject): Readonly<Record<string, string>> {
  const refusal = "drillKey: publicKey is not a P-256 JWK of kty, crv, x, y";
  try {
    const reader = new MemberReader(jwk, "publicKey");
    const [kty, crv] = [reader.oneOf("kty", ["EC"]), reader.oneOf("crv", ["P-256"])];
    const key = { kty, crv, x: reader.string("x", 64), y: reader.string("y", 64) };
    // Above all no private member: nobody's private key comes in here.
    reader.done();
    return publicJwk(createPublicKey({ key, format: "jwk" }));
  } catch (cause) {
    throw new ServiceError("ERR_REQUEST_MEMBER", refusal, { cause });
  }
}

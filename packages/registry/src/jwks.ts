import { encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonValue } from "@redoubt/verify/json";
import { tenantCovered } from "@redoubt/verify/record";
import { isDrill, isPublished, type SignedKeyRecord } from "@redoubt/keys";
import type { KeyInfo } from "./registry-types.ts";
import type { Registry } from "./registry.ts";

/** A JWK (RFC 7517) with the members of docs/spec/key-record.md §3. */
export interface RedoubtJwk {
  readonly kty: string;
  readonly kid: string;
  readonly alg: string;
  readonly use: "sig";
  readonly issuer: string;
  readonly redoubt: { readonly record: string; readonly ring: string };
  readonly [member: string]: JsonValue;
}

export function jwkOf({
  kid,
  record,
  recordBytes,
  ringSignature,
}: SignedKeyRecord & Pick<KeyInfo, "kid">): RedoubtJwk {
  const { kty, ...publicMembers } = record.publicKey;
  return {
    kty,
    ...publicMembers,
    kid,
    alg: record.alg,
    use: "sig",
    issuer: record.issuer,
    redoubt: { record: encodeBase64url(recordBytes), ring: encodeBase64url(ringSignature) },
  };
}

/** Where a publisher serves what vouches for a key's signer (docs/spec/leases.md §8), on the host of its issuers. */
export function attestationPath(kid: string): string {
  return `/.well-known/attestation/${kid}.json`;
}

/** The member of a JWK that names its attestation. `hardware`: whose hardware vouches for the signer, or `none`. */
export function attestationMember(issuer: string, kid: string, hardware: string) {
  const uri = new URL(issuer).origin + attestationPath(kid);
  return { "x-attestation": { uri, hardware } } as const;
}

/**
 * The keys that an issuer's JWKS lists: its realm's, covering its tenant, published, not past their time.
 * Ordinary clients ignore scope, so this separation is what protects them (THREAT-01). Drill keys are never listed:
 * whoever holds one could sign for every audience of a client that ignores the record's.
 */
export function keysForIssuer(
  registry: Registry,
  realm: string,
  tenant: string,
  nowSeconds: number,
): KeyInfo[] {
  return [...registry.keys.values()].filter(
    (key) =>
      key.realm === realm &&
      !isDrill(key.record) &&
      isPublished(key.state) &&
      nowSeconds < key.record.verifyUntil &&
      tenantCovered(key.record.tenants, tenant),
  );
}

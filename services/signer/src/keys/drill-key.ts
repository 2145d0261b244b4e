import { createPublicKey, type KeyObject } from "node:crypto";
import { errorLine, MemberReader, nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import {
  DRILL_AUDIENCE,
  signStatement,
  type Registry,
  type SignedStatement,
  type StatementBody,
  type StatementSigner,
} from "@redoubt/registry";
import { publicJwk, signKeyRecord, type SignedKeyRecord } from "@redoubt/keys";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import { route, SIGNER, type DrillKeyRequest, type Route } from "@redoubt/wire";
import { Budgets } from "../issue/budgets.ts";
import { isDrillCaller } from "./drill-rules.ts";
import { guarded } from "../issue/guarded.ts";

/** docs/spec/key-record.md §5: a drill key lives an hour at most, unless its window is already over. */
const MAX_LIFE_SECONDS = 3600;

/** A drill registers a handful of keys; each stays in the registry for ever. */
const BUDGET = { perSecond: 1 / 30, burst: 48 } as const;

export interface DrillKeyOptions {
  readonly realm: string;
  readonly log: string;
  readonly registry: () => Registry;
  readonly ringSigner: StatementSigner;
  readonly clock: Clock;
  /** Throws while the registry cannot be relied on. */
  readonly checkRegistry: () => void;
  readonly append: (statement: SignedStatement) => Promise<void>;
}

/** `drillKey` of docs/spec/wire.md §3; `ERR_SIGNER_OP` for any other caller, which is an alarm. */
export function drillKeyRoute(options: DrillKeyOptions): Route {
  const budgets = new Budgets(BUDGET, () => options.clock.monotonic());
  return guarded(
    ({ caller }) => {
      if (!isDrillCaller(caller))
        throw new ServiceError("ERR_SIGNER_OP", "Only a drill asks for this");
      options.checkRegistry();
    },
    route(SIGNER.drillKey, (request) => registerDrillKey(options, budgets, request)),
  );
}

async function registerDrillKey(
  { realm, log, registry, ringSigner, clock, append }: DrillKeyOptions,
  budgets: Budgets,
  request: DrillKeyRequest,
): Promise<{ kid: string; record: string; ring: string }> {
  const now = nowSeconds(clock);
  const where = { realm, log, registry: registry() };
  const signed = signDrillRecord(request, where, ringSigner.privateKey, now);
  budgets.take("drill", "-", "drill-key");
  const { kid } = signed.record;
  const record = encodeBase64url(signed.recordBytes);
  const ring = encodeBase64url(signed.ringSignature);
  const say = (body: StatementBody) => append(signStatement(body, ringSigner, now));
  await say({ type: "key", realm, kid, record, ring });
  await say({ type: "key-state", realm, kid, state: "prepublished", reason: "drill" });
  // For instance a public key that was registered before: the registry says no, whoever asks.
  if (registry().keys.get(kid)?.state !== "prepublished")
    throw new ServiceError("ERR_SIGNER_REGISTRY_VOID", "Registry did not take the drill key");
  return { kid, record, ring };
}

interface DrillRealm {
  readonly realm: string;
  readonly log: string;
  readonly registry: Registry;
}

/**
 * The record of a drill key. The caller chooses the public key, the tenant and the window; realm, issuer, class and
 * audience are not its to choose, so that no relying party but a drill's can ever be reached.
 */
function signDrillRecord(
  { publicKey, tenant, issuer, ...window }: DrillKeyRequest,
  { realm, log, registry }: DrillRealm,
  ringKey: KeyObject,
  atSeconds: number,
): SignedKeyRecord {
  const info = registry.realms.get(realm);
  if (!info || registry.tenants.get(`${realm}/${tenant}`)?.status !== "active")
    throw new ServiceError("ERR_SIGNER_HANDLE", "Drill tenant is not active in this realm");
  if (issuer !== undefined && issuer !== info.issuer)
    throw new ServiceError("ERR_SIGNER_HANDLE", "Drill issuer is not this realm's");
  if (window.verifyUntil > atSeconds + MAX_LIFE_SECONDS)
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

import { createPublicKey, type KeyObject } from "node:crypto";
import { errorLine, MemberReader, nowSeconds, ServiceError, type Clock } from "@redoubt/base";
import {
  DRILL_AUDIENCE,
  signStatement,
  type Registry,
  type SignedStatement,
  type StatementSigner,
} from "@redoubt/registry";
import { publicJwk, signKeyRecord, type SignedKeyRecord } from "@redoubt/keys";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import { route, SIGNER, type DrillKeyRequest, type IssueRequest, type Route } from "@redoubt/wire";
import { Budgets } from "../issue/budgets.ts";

/*
 * What a drill may and may not (docs/spec/key-record.md §5). A drill forges tokens on purpose, to show that they are
 * refused and noticed. It makes the key pair itself, and the signer registers the public half: such a key is never
 * active, the signer holds no private half of it and signs nothing under it, its one audience is the drill's, and it
 * lives an hour at most. Only the drill's own socket may ask for one, and for tokens of that audience.
 */

/** docs/spec/key-record.md §5: a drill key lives an hour at most, unless its window is already over. */
const MAX_LIFE_SECONDS = 3600;
/** A drill registers a handful of keys; each stays in the registry for ever. */
const BUDGET = { perSecond: 1 / 30, burst: 48 } as const;
const CALLER = "drill";
const CLIENT = "redoubt-drill";

/** No client and no tenant may have it, whatever its list says. */
export function isDrillAudience(audience: string): boolean {
  return audience === DRILL_AUDIENCE;
}

export function isDrillCaller(caller: string): boolean {
  return caller === CALLER;
}

/**
 * A drill's token reaches no relying party but those that accept the drill's audience.
 *
 * @throws ServiceError `ERR_SIGNER_CLIENT`, `ERR_SIGNER_AUDIENCE`
 */
export function checkDrillRequest(request: Pick<IssueRequest, "client" | "audience">): void {
  if (request.client !== CLIENT)
    throw new ServiceError("ERR_SIGNER_CLIENT", `A drill's client is ${CLIENT}`);
  if (!isDrillAudience(request.audience))
    throw new ServiceError("ERR_SIGNER_AUDIENCE", `A drill's audience is ${DRILL_AUDIENCE}`);
}

export interface DrillRouteOptions {
  readonly realm: string;
  readonly origin: string;
  readonly registry: () => Registry;
  readonly ringSigner: StatementSigner;
  readonly clock: Clock;
  readonly append: (statement: SignedStatement) => Promise<void>;
}

/** The call that registers a drill key; whoever wires it checks that a drill asks. */
export function drillRoute(options: DrillRouteOptions): Route {
  const budgets = new Budgets(BUDGET, () => options.clock.monotonic());
  return route(SIGNER.drillKey, (request) => registerDrillKey(options, request, budgets));
}

async function registerDrillKey(
  options: DrillRouteOptions,
  request: DrillKeyRequest,
  budgets: Budgets,
) {
  const { realm, registry, ringSigner, clock, append } = options;
  const now = nowSeconds(clock);
  const signed = signDrillRecord(options, request, ringSigner.privateKey, now);
  budgets.take(CALLER, "-", "drill-key");
  const { kid } = signed.record;
  const record = encodeBase64url(signed.recordBytes);
  const ring = encodeBase64url(signed.ringSignature);
  const key = { type: "key", realm, kid, record, ring } as const;
  await append(signStatement(key, ringSigner, now));
  const state = "prepublished";
  const published = { type: "key-state", realm, kid, state, reason: "drill" } as const;
  await append(signStatement(published, ringSigner, now));
  // For instance a public key that was registered before: the registry says no, whoever asks.
  if (registry().keys.get(kid)?.state !== state)
    throw new ServiceError("ERR_SIGNER_REGISTRY_VOID", "Registry did not take the drill key");
  return { kid, record, ring };
}

/**
 * The record of a drill key. The caller chooses the public key, the tenant and the window; realm, issuer, class and
 * audience are not its to choose, so that no relying party but a drill's can ever be reached.
 */
function signDrillRecord(
  { realm, origin, registry }: DrillRouteOptions,
  { publicKey, tenant, issuer, ...window }: DrillKeyRequest,
  ringKey: KeyObject,
  now: number,
): SignedKeyRecord {
  const info = registry().realms.get(realm);
  if (!info || registry().tenants.get(`${realm}/${tenant}`)?.status !== "active")
    throw new ServiceError("ERR_SIGNER_HANDLE", "Drill tenant is not active in this realm");
  if (issuer !== undefined && issuer !== info.issuer)
    throw new ServiceError("ERR_SIGNER_HANDLE", "Drill issuer is not this realm's");
  if (window.verifyUntil > now + MAX_LIFE_SECONDS)
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
    log: origin,
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

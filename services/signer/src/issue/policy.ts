import { ServiceError } from "@redoubt/base";
import { isDrill } from "@redoubt/keys";
import type { Registry } from "@redoubt/registry";
import type { JsonObject } from "@redoubt/verify/json";
import { issuerFor, tenantCovered, type KeyRecord } from "@redoubt/verify/record";
import type { IssueRequest } from "@redoubt/wire";
import { checkDrillRequest, isDrillAudience, isDrillCaller } from "../keys/drill-key.ts";
import type { RingKey } from "../keys/key-ring.ts";

/** What a request was granted; nothing in it was chosen by the caller without being held against the registry. */
export interface Grant {
  readonly key: RingKey;
  readonly issuer: string;
  readonly tenant: string;
  readonly client: string;
  readonly subject: string;
  readonly audience: string;
  readonly scope: string | undefined;
  readonly ttlSeconds: number;
  readonly context: JsonObject | undefined;
}

export interface PolicyInput {
  readonly realm: string;
  readonly registry: Registry;
  /** The key that signs for this tenant and class now, if there is one. */
  readonly activeKey: (tenant: string, tokenClass: string) => RingKey | undefined;
}

/** Decides one request of one caller. Replaced only where tests take this layer away on purpose. */
export type Policy = (input: PolicyInput, caller: string, request: IssueRequest) => Grant;

/** P1, P2, THREAT-01, THREAT-04: the caller's handle leads to exactly one scope and one key, or to a refusal. */
export function decideIssue(input: PolicyInput, caller: string, request: IssueRequest): Grant {
  checkHandle(input, request);
  if (isDrillCaller(caller)) checkDrillRequest(request);
  else checkClient(input, request);
  const key = input.activeKey(request.handle.tenant, request.handle.class);
  if (!key) throw new ServiceError("ERR_SIGNER_NO_KEY", "No active key for this handle", RETRY);
  return { ...grantOf(request), key, ...checkKeyScope(key, request) };
}

const RETRY = { fields: { retryAfterSeconds: 1 } } as const;

function grantOf({ handle, client, sub: subject, audience, scope, context }: IssueRequest) {
  return { tenant: handle.tenant, client, subject, audience, scope, context };
}

function checkHandle({ realm, registry }: PolicyInput, request: IssueRequest): void {
  // THREAT-01: this process serves one realm, and a tenant is of it only when the registry says so.
  if (request.handle.realm !== realm)
    throw new ServiceError("ERR_SIGNER_HANDLE", `Handle realm: expected ${realm}`);
  if (request.handle.class !== "at")
    throw new ServiceError("ERR_SIGNER_HANDLE", "Handle class: only at is issued here");
  const tenant = registry.tenants.get(`${realm}/${request.handle.tenant}`);
  if (tenant?.status !== "active")
    throw new ServiceError("ERR_SIGNER_HANDLE", "Handle tenant is not active in this realm");
}

function checkClient({ realm, registry }: PolicyInput, request: IssueRequest): void {
  const client = registry.clients.get(`${realm}/${request.handle.tenant}/${request.client}`);
  if (client?.status !== "active")
    throw new ServiceError("ERR_SIGNER_CLIENT", "Client is not active in this tenant");
  // The tenant's list is looked at again: it may have been narrowed after the client was registered.
  const tenant = registry.tenants.get(`${realm}/${request.handle.tenant}`);
  if (
    isDrillAudience(request.audience) ||
    !client.audiences.includes(request.audience) ||
    !tenant?.audiences.includes(request.audience)
  )
    throw new ServiceError("ERR_SIGNER_AUDIENCE", "Audience is not one of the handle's");
  for (const scope of request.scope?.split(" ") ?? [])
    if (!client.scopes.includes(scope))
      throw new ServiceError("ERR_SIGNER_SCOPE", "Scope is not one of the client's");
}

/** The key's own record has the last word, whatever the registry's tenants and clients say. */
function checkKeyScope(
  { record }: RingKey,
  { handle, audience, ttl }: IssueRequest,
): { issuer: string; ttlSeconds: number } {
  checkKeyCovers(record, handle);
  if (record.audiences !== "any" && !record.audiences.includes(audience))
    throw new ServiceError("ERR_SIGNER_AUDIENCE", "Key scope does not cover this audience");
  const { maxLifetimeSeconds } = record;
  if (ttl !== undefined && ttl > maxLifetimeSeconds)
    throw new ServiceError("ERR_SIGNER_TTL", `Lifetime is over ${maxLifetimeSeconds} s`);
  return { issuer: issuerFor(record, handle.tenant), ttlSeconds: ttl ?? maxLifetimeSeconds };
}

/** P1, THREAT-01: a key signs for its own realm, class and tenants only; no handle is that of a drill key. */
export function checkKeyCovers(record: KeyRecord, handle: IssueRequest["handle"]): void {
  if (record.realm !== handle.realm || record.class !== handle.class || isDrill(record))
    throw new ServiceError("ERR_SIGNER_HANDLE", "Key scope does not cover this handle");
  if (!tenantCovered(record.tenants, handle.tenant))
    throw new ServiceError("ERR_SIGNER_HANDLE", "Key scope does not cover this tenant");
}

import type { KeyRecord } from "@redoubt/verify/record";
import { isDrill, KeyError } from "@redoubt/keys";
import type { TenantRule } from "./statement-types.ts";
import { UUID } from "@redoubt/base";

export const DRILL_AUDIENCE = "urn:redoubt:drill";
const MAX_DRILL_SECONDS = 3600;
const PLACEHOLDER = "{tenantid}";

interface Realm {
  readonly realm: string;
  readonly issuer: string;
  readonly tenantRule: TenantRule;
}

export function ruleCovers(rule: TenantRule, tenant: string): boolean {
  return "fixed" in rule ? rule.fixed === tenant : !rule.except.includes(tenant);
}

/** A realm of many tenants has an issuer for each; otherwise one key set would hold the keys of all. */
export function checkIssuer({ issuer, tenantRule }: Omit<Realm, "realm">): void {
  const parts = issuer.split(PLACEHOLDER);
  const isTemplate = parts.length === 2 || ("fixed" in tenantRule && parts.length === 1);
  if (!isTemplate || !URL.canParse(parts.join("0")))
    throw conflict(`Issuer ${issuer} is not a URL that holds ${PLACEHOLDER} once`);
}

/**
 * THREAT-01: no token's issuer and tenant may fit two realms, and the only tenant of one realm is excepted by
 * every other.
 */
export function checkApart(a: Realm, b: Realm): void {
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    if ("fixed" in one.tenantRule && ruleCovers(other.tenantRule, one.tenantRule.fixed))
      throw conflict(`Realm ${other.realm} must except the tenant of ${one.realm}`);
    const tenant = filledBy(one.issuer, other.issuer);
    if (tenant !== undefined && ruleCovers(one.tenantRule, tenant))
      throw conflict(`Issuer of ${other.realm} is one of realm ${one.realm}`);
  }
  if (a.issuer === b.issuer) throw conflict(`Realms ${a.realm} and ${b.realm} have one issuer`);
}

/** The tenant for which a template gives this issuer. */
function filledBy(template: string, issuer: string): string | undefined {
  const [before = "", after] = template.split(PLACEHOLDER);
  if (after === undefined || !issuer.startsWith(before) || !issuer.endsWith(after))
    return undefined;
  const tenant = issuer.slice(before.length, issuer.length - after.length);
  return UUID.test(tenant) ? tenant : undefined;
}

/** A record may not reach a tenant that its realm cannot have: the consumer tenant above all (THREAT-01). */
export function checkTenantRule({ tenants }: KeyRecord, rule: TenantRule): void {
  if ("ids" in tenants) {
    for (const id of tenants.ids)
      if (!ruleCovers(rule, id)) throw conflict(`Key record covers tenant ${id} of another realm`);
    return;
  }
  if ("fixed" in rule) throw conflict("Key record must name its realm's only tenant");
  for (const id of rule.except)
    if (!tenants.except.some((excepted) => excepted === id))
      throw conflict(`Key record must except tenant ${id}`);
}

/** key-record.md §5: a drill's caller holds the private half, so the key reaches one tenant, one audience, one hour. */
export function checkDrill(record: KeyRecord, atSeconds: number): void {
  const { audiences, tenants } = record;
  const named = audiences === "any" ? [] : audiences;
  if (!isDrill(record)) {
    if (named.includes(DRILL_AUDIENCE)) throw conflict("The drill audience is for drill keys only");
    return;
  }
  if (named.length !== 1 || named[0] !== DRILL_AUDIENCE)
    throw conflict("A drill key is for the drill audience only");
  if (record.class !== "at") throw conflict("A drill key is of class at");
  if (!("ids" in tenants) || tenants.ids.length !== 1)
    throw conflict("A drill key is for one tenant");
  if (record.verifyUntil - atSeconds > MAX_DRILL_SECONDS)
    throw conflict(`A drill key lives at most ${MAX_DRILL_SECONDS} s`);
}

export function conflict(message: string): KeyError {
  return new KeyError("ERR_STATEMENT_CONFLICT", message);
}

import { isJsonObject, type JsonValue } from "../json.ts";
import type { VerifiedToken } from "../verified-token.ts";

/**
 * Where roles are read: the claim `roles`, or, as Keycloak writes them, `realm_access.roles` or
 * `resource_access[client].roles`.
 */
export type RoleSource = "roles" | "realm_access" | { readonly client: string };

/** What a token must grant: all of these scopes and all of these roles. */
export interface Requirement {
  readonly scopes: readonly string[];
  readonly roles: readonly string[];
  readonly roleSource: RoleSource;
}

/**
 * Scopes that a token grants: `scope` (RFC 8693 §4.2), or without it `scp`, as a string or a list.
 * A claim that is anything else, even in part, grants nothing.
 */
export function scopesOf({ payload }: VerifiedToken): ReadonlySet<string> {
  if (Object.hasOwn(payload, "scope")) return scopesInText(payload["scope"]);
  const scp = payload["scp"];
  return Array.isArray(scp) ? stringsIn(scp, isScope) : scopesInText(scp);
}

/** Roles that a token grants in one place. A claim that is not a list of strings grants nothing. */
export function rolesOf(
  { payload }: VerifiedToken,
  source: RoleSource = "roles",
): ReadonlySet<string> {
  if (source === "roles") return stringsIn(payload["roles"], isRole);
  if (source === "realm_access") return stringsIn(member(payload["realm_access"], "roles"), isRole);
  const access = member(payload["resource_access"], source.client);
  return stringsIn(member(access, "roles"), isRole);
}

/** True if the token grants all that is required. */
export function isGranted(token: VerifiedToken, requirement: Requirement): boolean {
  const { scopes, roles, roleSource } = requirement;
  const granted = scopes.length === 0 ? NOTHING : scopesOf(token);
  const held = roles.length === 0 ? NOTHING : rolesOf(token, roleSource);
  return scopes.every((scope) => granted.has(scope)) && roles.every((role) => held.has(role));
}

/**
 * Checks scopes that the programmer demands.
 *
 * @throws TypeError for none, or for text that no token can grant
 */
export function requiredScopes(scopes: readonly string[]): Requirement {
  if (!Array.isArray(scopes) || scopes.length === 0 || !scopes.every(isScope))
    throw new TypeError("scopes: expected at least one, without spaces (RFC 6749 §3.3)");
  return { scopes: [...scopes], roles: [], roleSource: "roles" };
}

/**
 * Checks roles that the programmer demands.
 *
 * @throws TypeError for none, or for an unknown source
 */
export function requiredRoles(
  roles: readonly string[],
  roleSource: RoleSource = "roles",
): Requirement {
  if (!Array.isArray(roles) || roles.length === 0 || !roles.every(isRole))
    throw new TypeError("roles: expected at least one");
  if (!isRoleSource(roleSource))
    throw new TypeError('roleSource: expected "roles", "realm_access" or { client }');
  return { scopes: [], roles: [...roles], roleSource };
}

const NOTHING: ReadonlySet<string> = new Set();

function scopesInText(value: JsonValue | undefined): ReadonlySet<string> {
  return typeof value === "string" ? stringsIn(value.split(" "), isScope) : NOTHING;
}

function stringsIn(
  value: JsonValue | undefined,
  isWanted: (item: unknown) => item is string,
): ReadonlySet<string> {
  return Array.isArray(value) && value.every(isWanted) ? new Set(value) : NOTHING;
}

function member(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

/** RFC 6749 §3.3. */
export function isScope(value: unknown): value is string {
  return typeof value === "string" && /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(value);
}

function isRole(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isRoleSource(source: RoleSource): boolean {
  if (source === "roles" || source === "realm_access") return true;
  return source !== null && isRole(source.client);
}

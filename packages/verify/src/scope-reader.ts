import { isIssuerTemplate } from "./issuer-template.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "./json.ts";
import { isTenantId, type TenantId, type TenantSelector } from "./tenant.ts";

const MAX_TEXTS = 4;
const MAX_TENANTS = 1000;
const MAX_BUCKETS = 65_536;
const MAX_AUDIENCES = 256;
const MAX_AUDIENCE_LENGTH = 512;
const REALM = /^[a-z][a-z0-9-]{0,31}$/;

/** The error of one member: its name and what was expected. */
export type Refusal = (member: string, expected: string) => Error;

/**
 * Reads the members of a key's scope. P1: a member that is absent, or that nobody asked for, is refused, so that
 * a scope is never wider than somebody said. Every method throws what `refusal` makes.
 */
export class ScopeReader {
  readonly #object: JsonObject;
  readonly #refusal: Refusal;
  readonly #seen = new Set<string>();

  constructor(object: JsonObject, refusal: Refusal) {
    this.#object = object;
    this.#refusal = refusal;
  }

  oneOf<const T extends string | number>(member: string, allowed: readonly T[]): T {
    const value = this.#take(member);
    const found = allowed.find((item) => item === value);
    if (found === undefined) throw this.#refusal(member, allowed.join(" or "));
    return found;
  }

  string(member: string, maxLength: number): string {
    const value = this.#take(member);
    if (typeof value !== "string" || !isText(value, maxLength))
      throw this.#refusal(member, `1 to ${maxLength} characters`);
    return value;
  }

  /** One text, or a list of one or a few. */
  texts(member: string, maxLength: number): readonly string[] {
    const value = this.#take(member);
    const texts = typeof value === "string" ? [value] : value;
    if (!isStringArray(texts, 1, MAX_TEXTS) || !texts.every((text) => isText(text, maxLength)))
      throw this.#refusal(member, `1 to ${maxLength} characters, or up to ${MAX_TEXTS} such texts`);
    return texts;
  }

  integer(member: string, min: number, max: number): number {
    const value = this.#take(member);
    if (!isIntegerWithin(value, min, max))
      throw this.#refusal(member, `an integer from ${min} to ${max}`);
    return value;
  }

  object(member: string): JsonObject {
    const value = this.#take(member);
    if (!isJsonObject(value)) throw this.#refusal(member, "an object");
    return value;
  }

  null(member: string): null {
    if (this.#take(member) !== null) throw this.#refusal(member, "null");
    return null;
  }

  has(member: string): boolean {
    return Object.hasOwn(this.#object, member);
  }

  realm(): string {
    const value = this.#take("realm");
    if (!isRealm(value)) throw this.#refusal("realm", REALM.source);
    return value;
  }

  issuer(): string {
    const value = this.#take("issuer");
    if (!isIssuerTemplate(value))
      throw this.#refusal("issuer", "a URL that may hold {tenantid} once");
    return value;
  }

  tenants(): TenantSelector {
    const selector = this.object("tenants");
    const names = Object.keys(selector).toSorted().join();
    if (names === "ids") return { ids: this.#tenantIds(selector["ids"], 1) };
    if (names !== "bucket,except,of") throw this.#refusal("tenants", "ids, or bucket, of, except");
    const { bucket, of } = selector;
    if (!isIntegerWithin(of, 1, MAX_BUCKETS) || !isIntegerWithin(bucket, 0, of - 1))
      throw this.#refusal("tenants", `bucket < of ≤ ${MAX_BUCKETS}`);
    return { bucket, of, except: this.#tenantIds(selector["except"], 0) };
  }

  /** For keys without a record, which may have `"any"`; it must be written out. */
  tenantsOrAny(): TenantSelector | "any" {
    return this.#take("tenants") === "any" ? "any" : this.tenants();
  }

  audiences(): "any" | readonly string[] {
    const value = this.#take("audiences");
    if (value === "any") return value;
    if (!isStringArray(value, 1, MAX_AUDIENCES) || !value.every(isAudience))
      throw this.#refusal("audiences", `"any" or 1 to ${MAX_AUDIENCES} strings`);
    if (new Set(value).size !== value.length) throw this.#refusal("audiences", "no repetition");
    return value;
  }

  window(): {
    readonly signFrom: number;
    readonly signUntil: number;
    readonly verifyUntil: number;
  } {
    const signFrom = this.integer("signFrom", 0, Number.MAX_SAFE_INTEGER);
    const signUntil = this.integer("signUntil", 0, Number.MAX_SAFE_INTEGER);
    const verifyUntil = this.integer("verifyUntil", 0, Number.MAX_SAFE_INTEGER);
    if (signFrom >= signUntil) throw this.#refusal("signUntil", "later than signFrom");
    if (signUntil >= verifyUntil) throw this.#refusal("verifyUntil", "later than signUntil");
    return { signFrom, signUntil, verifyUntil };
  }

  /** Refuses every member that nobody asked for. */
  done(): void {
    for (const name of Object.keys(this.#object))
      if (!this.#seen.has(name)) throw this.#refusal(name.slice(0, 40), "no such member");
  }

  #take(member: string): JsonValue | undefined {
    this.#seen.add(member);
    return Object.hasOwn(this.#object, member) ? this.#object[member] : undefined;
  }

  // Sorted and unique, so that one set of tenants has one record.
  #tenantIds(value: JsonValue | undefined, min: number): readonly TenantId[] {
    if (!isStringArray(value, min, MAX_TENANTS) || !value.every(isTenantId))
      throw this.#refusal("tenants", `${min} to ${MAX_TENANTS} lower-case GUIDs`);
    if (value.some((id, i) => i > 0 && id <= (value[i - 1] ?? "")))
      throw this.#refusal("tenants", "sorted GUIDs without repetition");
    return value;
  }
}

export function isRealm(value: unknown): value is string {
  return typeof value === "string" && REALM.test(value);
}

export function isAudience(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= MAX_AUDIENCE_LENGTH;
}

function isIntegerWithin(value: unknown, min: number, max: number): value is number {
  return (
    // mutate: a safe integer is a number; the compiler does not know it.
    typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max
  );
}

function isStringArray(value: unknown, min: number, max: number): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.length >= min &&
    value.length <= max &&
    value.every((item) => typeof item === "string")
  );
}

function isText(value: string, maxLength: number): boolean {
  return value.length > 0 && value.length <= maxLength;
}

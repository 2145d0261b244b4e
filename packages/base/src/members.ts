import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import { ServiceError } from "./errors.ts";

/** Why a message was refused before anything looked at its meaning. */
export type MemberErrorCode = "ERR_REQUEST_MEMBER";

/**
 * Typed, bounded reading of a parsed JSON object from somebody else. Every member must be asked for;
 * `done()` refuses whatever was not, so that a misspelt or smuggled member is never ignored.
 */
export class MemberReader {
  readonly #object: JsonObject;
  readonly #what: string;
  /** A handful: an array finds them sooner than a set. */
  readonly #seen: string[] = [];

  constructor(object: JsonObject, what: string) {
    this.#object = object;
    this.#what = what;
  }

  /** A string of 1…`max` UTF-16 units. */
  string(name: string, max = 512, pattern?: RegExp): string {
    const value = this.#take(name);
    if (typeof value !== "string" || value.length === 0 || value.length > max)
      throw this.#refuse(name, `a string of 1 to ${max} characters`);
    if (pattern && !pattern.test(value))
      throw this.#refuse(name, `a string like ${pattern.source}`);
    return value;
  }

  optionalString(name: string, max = 512, pattern?: RegExp): string | undefined {
    return this.has(name) ? this.string(name, max, pattern) : undefined;
  }

  /** One of the given strings. */
  oneOf<const T extends string>(name: string, allowed: readonly T[]): T {
    const value = this.#take(name);
    const found = allowed.find((a) => a === value);
    if (found === undefined) throw this.#refuse(name, `one of ${allowed.join(", ")}`);
    return found;
  }

  /** A safe integer of `min`…`max`. */
  integer(name: string, min: number, max: number): number {
    const value = this.#take(name);
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max)
      throw this.#refuse(name, `an integer of ${min} to ${max}`);
    return value;
  }

  optionalInteger(name: string, min: number, max: number): number | undefined {
    return this.has(name) ? this.integer(name, min, max) : undefined;
  }

  /** `max` strings at most, each of 1…`maxLength` characters. */
  strings(name: string, max: number, maxLength = 512): readonly string[] {
    return this.array(name, max).map((item) => {
      if (typeof item !== "string" || item.length === 0 || item.length > maxLength)
        throw this.#refuse(name, `strings of 1 to ${maxLength} characters`);
      return item;
    });
  }

  /** `max` items at most; the caller reads each of them. */
  array(name: string, max: number): readonly JsonValue[] {
    const value = this.#take(name);
    if (!Array.isArray(value) || value.length > max)
      throw this.#refuse(name, `an array of at most ${max}`);
    return value;
  }

  /** Readers of `max` objects at most; each needs a `done()` of its own. */
  objects(name: string, max: number): readonly MemberReader[] {
    return this.array(name, max).map((value) => {
      if (!isJsonObject(value)) throw this.#refuse(name, "an array that must hold objects");
      return new MemberReader(value, `${this.#what} ${name}`);
    });
  }

  /** A reader of the object within; it needs a `done()` of its own. */
  object(name: string): MemberReader {
    return new MemberReader(this.rawObject(name), `${this.#what} ${name}`);
  }

  rawObject(name: string): JsonObject {
    const value = this.#take(name);
    if (!isJsonObject(value)) throw this.#refuse(name, "an object");
    return value;
  }

  boolean(name: string): boolean {
    const value = this.#take(name);
    if (typeof value !== "boolean") throw this.#refuse(name, "true or false");
    return value;
  }

  /** Whether the member is there and is `null`. Where it is not, the caller goes on and reads the value. */
  isNull(name: string): boolean {
    return this.has(name) && this.#take(name) === null;
  }

  /** Whether the member is there. This is not asking for it: `done()` still refuses it. */
  has(name: string): boolean {
    return Object.hasOwn(this.#object, name);
  }

  /** Refuses every member that nobody asked for. */
  done(): void {
    for (const name of Object.keys(this.#object))
      if (!this.#seen.includes(name))
        throw new ServiceError(
          "ERR_REQUEST_MEMBER",
          `${this.#what}: unknown member ${shorten(name)}`,
        );
  }

  #take(name: string): JsonValue | undefined {
    this.#seen.push(name);
    return Object.hasOwn(this.#object, name) ? this.#object[name] : undefined;
  }

  #refuse(name: string, expected: string): ServiceError<MemberErrorCode> {
    return new ServiceError("ERR_REQUEST_MEMBER", `${this.#what}: ${name} must be ${expected}`);
  }
}

// The sender chose the name: what a terminal would act on, and half a surrogate pair, stay out of messages.
function shorten(text: string): string {
  const shown = text.slice(0, 40).replaceAll(/[^ -~]/g, "?");
  return text.length > 40 ? `${shown}...` : shown;
}

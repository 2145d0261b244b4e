import { ServiceError } from "@redoubt/base";
import {
  Base64urlError,
  decodeBase64url,
  encodeBase64url,
  type Base64urlLimits,
} from "@redoubt/verify/base64url";
import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";

/** How one member of a message is read and written. */
export interface Member<T> {
  /** `value` comes from the other side and may be anything. `name` and `what`, the message's name, are for the error. */
  read(value: JsonValue | undefined, name: string, what: string): T;
  /** Gives undefined where the member is to be left out. */
  write(value: T): JsonValue | undefined;
}

/** A member that may be absent. */
export interface OptionalMember<T> extends Member<T | undefined> {
  readonly isOptional: true;
}

export type Shape = Readonly<Record<string, Member<unknown>>>;

export type ValueOf<M> = M extends Member<infer T> ? T : never;
type OptionalNames<S extends Shape> = {
  [Name in keyof S]: S[Name] extends OptionalMember<unknown> ? Name : never;
}[keyof S];

/** What a message of this shape says. */
export type Values<S extends Shape> = {
  readonly [Name in Exclude<keyof S, OptionalNames<S>>]: ValueOf<S[Name]>;
} & { readonly [Name in OptionalNames<S>]?: ValueOf<S[Name]> | undefined };

/** @throws ServiceError `ERR_REQUEST_MEMBER` */
export function refuseMember(what: string, name: string, expected: string): never {
  throw new ServiceError("ERR_REQUEST_MEMBER", `${what}: ${name} must be ${expected}`);
}

/** A string of 1…`max` UTF-16 units. */
export function text(max = 512, pattern?: RegExp): Member<string> {
  return {
    read: (value, name, what) => {
      if (typeof value !== "string" || value.length === 0 || value.length > max)
        return refuseMember(what, name, `a string of 1 to ${max} characters`);
      if (pattern && !pattern.test(value))
        return refuseMember(what, name, `a string like ${pattern.source}`);
      return value;
    },
    write: (value) => value,
  };
}

/** A string of at most `max` UTF-16 units, which may be empty. */
export function textOrEmpty(max: number): Member<string> {
  return {
    read: (value, name, what) =>
      typeof value === "string" && value.length <= max
        ? value
        : refuseMember(what, name, `a string of at most ${max} characters`),
    write: (value) => value,
  };
}

/** One of the given strings. */
export function oneOf<const T extends string>(...allowed: readonly T[]): Member<T> {
  return {
    read: (value, name, what) =>
      allowed.find((one) => one === value) ??
      refuseMember(what, name, `one of ${allowed.join(", ")}`),
    write: (value) => value,
  };
}

/** A safe integer of `min`…`max`. */
export function integer(min = 0, max: number = Number.MAX_SAFE_INTEGER): Member<number> {
  return {
    read: (value, name, what) =>
      typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max
        ? value
        : refuseMember(what, name, `an integer of ${min} to ${max}`),
    write: (value) => value,
  };
}

/** Any number of 0 or more, whole or not. */
export const finite: Member<number> = {
  read: (value, name, what) =>
    typeof value === "number" && Number.isFinite(value) && value >= 0
      ? value
      : refuseMember(what, name, "a finite number of 0 or more"),
  write: (value) => value,
};

export const flag: Member<boolean> = {
  read: (value, name, what) =>
    typeof value === "boolean" ? value : refuseMember(what, name, "true or false"),
  write: (value) => value,
};

/** A truth value of which only `true` is written: an absent member is false. */
export const mark: OptionalMember<boolean> = {
  isOptional: true,
  read: (value, name, what) => value !== undefined && flag.read(value, name, what),
  write: (value) => (value === true ? true : undefined),
};

/** Bytes, in base64url. */
export function bytes(limits: Base64urlLimits): Member<Buffer> {
  return {
    read: (value, name, what) => {
      if (typeof value !== "string") return refuseMember(what, name, "base64url");
      try {
        return decodeBase64url(value, limits);
      } catch (error) {
        if (!(error instanceof Base64urlError)) throw error;
        return refuseMember(what, name, "base64url of the right length");
      }
    },
    write: (value) => encodeBase64url(value),
  };
}

/** Any JSON object; whoever takes it reads it further. */
export const anyObject: Member<JsonObject> = {
  read: (value, name, what) =>
    isJsonObject(value) ? value : refuseMember(what, name, "an object"),
  write: (value) => value,
};

/** Anything; whoever takes it reads it further. */
export const anything: Member<JsonValue> = {
  read: (value, name, what) => (value === undefined ? refuseMember(what, name, "there") : value),
  write: (value) => value,
};

import { ServiceError } from "@redoubt/base";
import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import {
  refuseMember,
  type Member,
  type OptionalMember,
  type Shape,
  type Values,
} from "./member.ts";

/** One message of a socket: who writes it and who reads it share this definition. */
export interface Message<T> {
  /**
   * Reads what the other side sent; every member that is not defined is refused.
   *
   * @throws ServiceError `ERR_REQUEST_MEMBER`
   */
  read(object: JsonObject): T;
  write(value: T): JsonObject;
}

const MAX_SHOWN = 40;

/** @param what names the message in errors */
export function message<S extends Shape>(what: string, shape: S): Message<Values<S>> {
  const members = membersOf(shape);
  return { read: (object) => read(members, object, what), write: (value) => write(members, value) };
}

/** A message within a message. */
export function group<S extends Shape>(shape: S): Member<Values<S>> {
  const members = membersOf(shape);
  return {
    read: (value, name, what) =>
      isJsonObject(value)
        ? read(members, value, `${what} ${name}`)
        : refuseMember(what, name, "an object"),
    write: (value) => write(members, value),
  };
}

/** A shape as both readers and writers walk it. */
interface Members<S extends Shape> {
  readonly shape: S;
  readonly all: readonly (readonly [name: string, member: Member<unknown>])[];
}

function membersOf<S extends Shape>(shape: S): Members<S> {
  return { shape, all: Object.entries(shape) };
}

function read<S extends Shape>(
  { shape, all }: Members<S>,
  object: JsonObject,
  what: string,
): Values<S> {
  const values: Record<string, unknown> = {};
  for (const [name, member] of all) {
    const value = Object.hasOwn(object, name) ? object[name] : undefined;
    const found = member.read(value, name, what);
    if (found !== undefined) values[name] = found;
  }
  for (const name in object) if (!Object.hasOwn(shape, name)) refuseUnknown(what, name);
  // Every member of the shape was read, each by its own reader.
  // oxlint-disable-next-line no-unsafe-type-assertion
  return values as Values<S>;
}

function write<S extends Shape>({ all }: Members<S>, value: object): JsonObject {
  const head: Record<string, JsonValue> = {};
  for (const [name, member] of all) {
    const written = member.write(Reflect.get(value, name));
    if (written !== undefined) head[name] = written;
  }
  return head;
}

/** A member that may be absent. */
export function optional<T>(member: Member<T>): OptionalMember<T> {
  return {
    isOptional: true,
    read: (value, name, what) => (value === undefined ? undefined : member.read(value, name, what)),
    write: (value) => (value === undefined ? undefined : member.write(value)),
  };
}

/** A member that must be there, and may be `null`. */
export function nullable<T>(member: Member<T>): Member<T | null> {
  return {
    read: (value, name, what) => (value === null ? null : member.read(value, name, what)),
    write: (value) => (value === null ? null : member.write(value)),
  };
}

/** An array of `min` to `max` items. */
export function list<T>(member: Member<T>, max: number, min = 0): Member<readonly T[]> {
  return {
    read: (value, name, what) => {
      if (!Array.isArray(value) || value.length > max || value.length < min)
        return refuseMember(what, name, `an array of ${min} to ${max}`);
      return value.map((item) => member.read(item, name, what));
    },
    write: (values) => values.map((value) => member.write(value) ?? null),
  };
}

// The sender chose the name: what a terminal would act on, and half a surrogate pair, stay out of messages.
function refuseUnknown(what: string, name: string): never {
  const shown = name.slice(0, MAX_SHOWN).replaceAll(/[^ -~]/g, "?");
  const end = name.length > MAX_SHOWN ? "..." : "";
  throw new ServiceError("ERR_REQUEST_MEMBER", `${what}: unknown member ${shown}${end}`);
}

import { MemberReader, ServiceError } from "@redoubt/base";
import { DEFAULT_LIMITS } from "./call-gate.ts";
import type { CallLimits } from "./call-gate-types.ts";
import { KeyError } from "@redoubt/keys";

export type JsonObject = ConstructorParameters<typeof MemberReader>[0];

const MAX_LIMIT = 1_000_000;

/** @throws KeyError `ERR_KEY_CUSTODY` for whatever `read` finds wrong */
export function readSettings<T>(settings: JsonObject, read: (from: MemberReader) => T): T {
  try {
    const from = new MemberReader(settings, "custody");
    const found = read(from);
    from.done();
    return found;
  } catch (cause) {
    if (cause instanceof ServiceError)
      throw new KeyError("ERR_KEY_CUSTODY", cause.message, { cause });
    throw cause;
  }
}

/** An object with this one member, or an empty one where the value is undefined. */
export function optional<Name extends string, T>(
  name: Name,
  value: T | undefined,
): Partial<Record<Name, T>> {
  const found: Partial<Record<Name, T>> = {};
  if (value !== undefined) found[name] = value;
  return found;
}

/** `unsafeSoftwareKeys`: whether the operator takes keys that a cloud holds in software and not in an HSM. */
export function readUnsafe(from: MemberReader): boolean | undefined {
  return from.has("unsafeSoftwareKeys") ? from.boolean("unsafeSoftwareKeys") : undefined;
}

export function readLimits(from: MemberReader): Partial<CallLimits> | undefined {
  if (!from.has("limits")) return undefined;
  const limits = from.object("limits");
  const found: Record<string, number> = {};
  for (const name of Object.keys(DEFAULT_LIMITS)) {
    const value = limits.optionalInteger(name, 1, MAX_LIMIT);
    if (value !== undefined) found[name] = value;
  }
  limits.done();
  return found;
}

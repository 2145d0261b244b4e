import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import { parseDuration } from "./duration.ts";
import { KeyError } from "./errors.ts";

/** More are counted, not listed: whoever wrote the document decides how many there are. */
const MAX_LISTED = 24;

/** Reads a policy on after a problem, so that its author hears of all of them at once. */
export class PolicyReader {
  readonly #problems: string[] = [];
  #unlisted = 0;

  add(problem: string): void {
    if (this.#problems.length < MAX_LISTED) this.#problems.push(problem);
    else this.#unlisted += 1;
  }

  /** Says what is wrong unless it is right. */
  check(isRight: boolean, problem: string): void {
    if (!isRight) this.add(problem);
  }

  /** The object, or an empty one and a problem; each member that is not among `allowed` is one more. */
  object(value: JsonValue | undefined, where: string, allowed: readonly string[]): JsonObject {
    if (!isJsonObject(value)) {
      this.add(`${where} must be an object`);
      return {};
    }
    for (const name of Object.keys(value))
      if (!allowed.includes(name)) this.add(`${where}: unknown member ${shown(name)}`);
    return value;
  }

  /** Seconds; undefined where the member is absent, null or wrong. Azure writes null for what is not set. */
  duration(object: JsonObject, name: string, where: string): number | undefined {
    const value = object[name];
    if (value === undefined || value === null) return undefined;
    try {
      if (typeof value === "string") return parseDuration(value);
      this.add(`${where}.${name}: expected an ISO 8601 duration such as P7D or PT6H`);
    } catch (error) {
      if (!(error instanceof KeyError)) throw error;
      this.add(`${where}.${name}: ${error.message}`);
    }
    return undefined;
  }

  integer(
    object: JsonObject,
    name: string,
    { where, min, max }: { readonly where: string; readonly min: number; readonly max: number },
  ): number | undefined {
    const value = object[name];
    if (value === undefined) return undefined;
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max)
      return value;
    this.add(`${where}.${name}: expected an integer of ${min} to ${max}`);
    return undefined;
  }

  boolean(object: JsonObject, name: string, where: string): boolean {
    const value = object[name];
    if (value === undefined || typeof value === "boolean") return value ?? false;
    this.add(`${where}.${name}: expected true or false`);
    return false;
  }

  /** @throws KeyError `ERR_ROTATION_POLICY` that names every problem */
  done(): void {
    if (this.#problems.length === 0) return;
    const more = this.#unlisted > 0 ? `; and ${this.#unlisted} more` : "";
    throw new KeyError(
      "ERR_ROTATION_POLICY",
      `Rotation policy: ${this.#problems.join("; ")}${more}`,
    );
  }
}

// The author chose the name: what a terminal would act on stays out of messages.
function shown(name: string): string {
  return name.slice(0, 40).replaceAll(/[^ -~]/g, "?");
}

import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { errorLine, ServiceError } from "./errors.ts";
import { MemberReader } from "./members.ts";

/** What of `T` could be read so far. */
type Partly<T> = { readonly [Name in keyof T]: T[Name] | undefined };

/**
 * Reads a configuration on after a problem, so that the operator hears of all of them at once. The form is strict
 * JSON with `v` 1; a member that nobody asks for is a problem too.
 *
 * @example
 * const config = new ConfigReader(bytes, "config");
 * return config.finish<Config>({ port: config.attempt((from) => from.integer("port", 0, 65_535)) });
 */
export class ConfigReader {
  readonly #members: MemberReader;
  readonly #problems: string[] = [];

  /** @throws ServiceError `ERR_CONFIG` for what is no strict JSON object: no member of it could be read */
  constructor(json: Uint8Array | JsonObject, what: string) {
    this.#members = new MemberReader(json instanceof Uint8Array ? parse(json, what) : json, what);
    this.attempt((from) => from.integer("v", 1, 1));
  }

  /** What `read` gives, or undefined and one problem more. */
  attempt<T>(read: (from: MemberReader) => T): T | undefined {
    try {
      return read(this.#members);
    } catch (error) {
      this.#problems.push(errorLine(error));
      return undefined;
    }
  }

  /**
   * The whole configuration; a part that may be absent is not among `parts`.
   *
   * @throws ServiceError `ERR_CONFIG` that names every problem
   */
  finish<T extends object>(parts: Partly<T>): T {
    this.attempt((from) => from.done());
    if (this.#problems.length > 0) throw configError(this.#problems.join("; "));
    if (!isComplete(parts)) throw new TypeError("A part of the configuration was not read");
    return parts;
  }
}

/** A problem of a configuration. `finish` joins messages as they are, so each must say which part it is about. */
export function configError(
  message: string,
  options: ErrorOptions = {},
): ServiceError<"ERR_CONFIG"> {
  return new ServiceError("ERR_CONFIG", message, options);
}

function parse(bytes: Uint8Array, what: string): JsonObject {
  try {
    return parseJsonObject(bytes);
  } catch (cause) {
    throw configError(`${what}: not a strict JSON object`, { cause });
  }
}

function isComplete<T extends object>(parts: Partly<T>): parts is T & Partly<T> {
  return Object.values(parts).every((part) => part !== undefined);
}

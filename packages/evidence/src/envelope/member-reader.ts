import { decodeBase64url } from "@redoubt/verify/base64url";
import { isJsonObject, type JsonValue } from "@redoubt/verify/json";
import { EvidenceError } from "../evidence-error.ts";

/** Reads the members of one object of an envelope; each is asked for once, and `end` refuses the others. */
export class MemberReader {
  readonly #left: Map<string, JsonValue>;
  readonly #part: string;

  constructor(value: JsonValue | undefined, part: string) {
    if (!isJsonObject(value)) throw malformed(part, "expected an object");
    this.#left = new Map(Object.entries(value));
    this.#part = part;
  }

  /** The value, undefined where there is none. */
  take(name: string): JsonValue | undefined {
    const value = this.#left.get(name);
    this.#left.delete(name);
    return value;
  }

  /** Base64url without padding. */
  bytes(name: string): Buffer {
    const value = this.optionalBytes(name);
    if (value === undefined) throw malformed(`${this.#part}.${name}`, "missing");
    return value;
  }

  optionalBytes(name: string): Buffer | undefined {
    const value = this.take(name);
    return value === undefined ? undefined : decode(value, `${this.#part}.${name}`);
  }

  bytesList(name: string, maxItems: number): readonly Buffer[] {
    const part = `${this.#part}.${name}`;
    const value = this.take(name);
    if (!Array.isArray(value) || value.length > maxItems)
      throw malformed(part, `expected a list of at most ${maxItems}`);
    return value.map((one, i) => decode(one, `${part}[${i}]`));
  }

  text(name: string): string {
    const value = this.take(name);
    if (typeof value !== "string") throw malformed(`${this.#part}.${name}`, "expected a text");
    return value;
  }

  object(name: string): MemberReader {
    return new MemberReader(this.take(name), `${this.#part}.${name}`);
  }

  names(): readonly string[] {
    return [...this.#left.keys()];
  }

  end(): void {
    if (this.#left.size > 0) throw malformed(this.#part, "unknown members", this.#left.size);
  }
}

function decode(value: JsonValue, part: string): Buffer {
  // mutate: what is no text is no base64url either.
  if (typeof value !== "string") throw malformed(part, "expected base64url");
  try {
    return decodeBase64url(value);
  } catch (cause) {
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", "Evidence: not base64url", { part, cause });
  }
}

function malformed(part: string, problem: string, found?: number): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_FORMAT", `Evidence, ${part}: ${problem}`, { part, found });
}

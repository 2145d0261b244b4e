import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseJsonObject,
} from "@redoubt/verify/json";
import { EvidenceError } from "../evidence-error.ts";

const MAX_BYTES = 524_288;
const MAX_DEPTH = 10;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/;

/** Reads members of Intel's documents. They may gain members that are not known here, so others are left alone. */
export class CollateralReader {
  readonly #object: JsonObject;
  readonly part: string;

  constructor(value: JsonValue | undefined, part: string) {
    if (!isJsonObject(value)) throw wrongCollateral(part, "no object");
    this.#object = value;
    this.part = part;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#object, name);
  }

  object(name: string): CollateralReader {
    return new CollateralReader(this.#object[name], `${this.part}.${name}`);
  }

  text(name: string): string {
    const value = this.#object[name];
    if (typeof value !== "string") throw this.#wrong(name);
    return value;
  }

  number(name: string): number {
    const value = this.#object[name];
    if (
      // mutate: only a number is a safe integer; the type asks.
      typeof value !== "number" ||
      !Number.isSafeInteger(value) ||
      value < 0
    )
      throw this.#wrong(name);
    return value;
  }

  hex(name: string, bytes: number): Buffer {
    const text = this.text(name);
    if (text.length !== bytes * 2 || !/^(?:[0-9a-f]{2})*$/i.test(text)) throw this.#wrong(name);
    return Buffer.from(text, "hex");
  }

  /** Milliseconds since 1970. */
  time(name: string): number {
    const text = this.text(name);
    const time = TIME.test(text) ? Date.parse(text) : Number.NaN;
    if (Number.isNaN(time)) throw this.#wrong(name);
    return time;
  }

  list(name: string, maxItems: number): readonly JsonValue[] {
    const value = this.#object[name];
    if (!Array.isArray(value) || value.length > maxItems) throw this.#wrong(name);
    return value;
  }

  optionalList(name: string, maxItems: number): readonly JsonValue[] {
    return this.has(name) ? this.list(name, maxItems) : [];
  }

  objects(name: string, maxItems: number): readonly CollateralReader[] {
    return this.list(name, maxItems).map(
      (one, i) => new CollateralReader(one, `${this.part}.${name}[${i}]`),
    );
  }

  #wrong(name: string): EvidenceError {
    return wrongCollateral(`${this.part}.${name}`, "missing or of another form");
  }
}

/** @throws EvidenceError `ERR_EVIDENCE_COLLATERAL` */
export function parseCollateralJson(text: string | Uint8Array, part: string): CollateralReader {
  try {
    return new CollateralReader(
      parseJsonObject(text, { maxBytes: MAX_BYTES, maxDepth: MAX_DEPTH }),
      part,
    );
  } catch (cause) {
    throw new EvidenceError("ERR_EVIDENCE_COLLATERAL", `Collateral, ${part}: not JSON`, {
      part,
      cause,
    });
  }
}

export function wrongCollateral(part: string, problem: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_COLLATERAL", `Collateral, ${part}: ${problem}`, { part });
}

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** A value that must not reach a log: prints as `[redacted]` whatever formats it. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  static random(bytes = 32): Secret {
    return new Secret(randomBytes(bytes).toString("base64url"));
  }

  /** The value itself; the call is what a reviewer looks for. */
  reveal(): string {
    return this.#value;
  }

  /** Compares in a time that depends on neither value. */
  equals(other: string): boolean {
    return timingSafeEqual(digest(this.#value), digest(other));
  }

  toString(): string {
    return "[redacted]";
  }

  toJSON(): string {
    return "[redacted]";
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[redacted]";
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text, "utf8").digest();
}

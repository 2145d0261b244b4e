import { JsonError } from "./json-error.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERAL = /true|false|null/y;
const WHITESPACE = /[ \t\n\r]*/y;
const HEX4 = /[0-9a-fA-F]{4}/y;

/**
 * Decides, without the engine's parser, whether a text is strict JSON; builds nothing. Linear in the text, and
 * its recursion is bounded by `maxDepth`. Every member name passed here equals its raw characters.
 *
 * @throws JsonError with the first reason found
 */
export function scanJson(text: string, maxDepth: number): void {
  const scanner = new JsonScanner(text);
  scanner.value(maxDepth);
  scanner.end();
}

class JsonScanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(depthLeft: number): void {
    this.#match(WHITESPACE);
    const first = this.#text[this.#at];
    if (first === "{" || first === "[") {
      if (depthLeft === 0) throw new JsonError("ERR_JSON_DEPTH", "JSON nesting: too deep");
      this.#at += 1;
      if (first === "{") this.#object(depthLeft - 1);
      else this.#array(depthLeft - 1);
    } else if (first === '"') this.#string();
    else if (this.#match(LITERAL) === undefined) this.#number();
    this.#match(WHITESPACE);
  }

  end(): void {
    if (this.#at !== this.#text.length) throw syntax();
  }

  #object(depthLeft: number): void {
    this.#match(WHITESPACE);
    if (this.#take("}")) return;
    const names = new Set<string>();
    do {
      this.#match(WHITESPACE);
      this.#name(names);
      this.#match(WHITESPACE);
      if (!this.#take(":")) throw syntax();
      this.value(depthLeft);
    } while (this.#take(","));
    if (!this.#take("}")) throw syntax();
  }

  #name(names: Set<string>): void {
    const start = this.#at + 1;
    this.#string();
    const name = this.#text.slice(start, this.#at - 1);
    // THREAT-08: V8 may read such a name as another one, and a duplicate hides behind it.
    if (name.includes("\\"))
      throw new JsonError("ERR_JSON_ESCAPED_NAME", "JSON member name: holds an escape");
    if (name === "__proto__")
      throw new JsonError("ERR_JSON_PROTO", "JSON member name: __proto__ is refused");
    // RFC 8725 §2.6, RFC 7515 §5.2: two readers may each take another of the two values.
    if (names.has(name))
      throw new JsonError("ERR_JSON_DUPLICATE_MEMBER", "JSON member name: occurs twice");
    names.add(name);
  }

  #array(depthLeft: number): void {
    this.#match(WHITESPACE);
    if (this.#take("]")) return;
    do this.value(depthLeft);
    while (this.#take(","));
    if (!this.#take("]")) throw syntax();
  }

  #string(): void {
    if (!this.#take('"')) throw syntax();
    for (;;) {
      const unit = this.#text.charCodeAt(this.#at);
      this.#at += 1;
      if (unit === QUOTE) return;
      if (unit === BACKSLASH) this.#escape();
      // RFC 8259 §7; NaN is the end of the text.
      else if (Number.isNaN(unit) || unit < 0x20) throw syntax();
    }
  }

  #escape(): void {
    const kind = this.#text[this.#at];
    this.#at += 1;
    if (kind === "u") this.#unicodeEscape();
    else if (
      // mutate: the word "undefined" is not among these either; for the compiler.
      kind === undefined ||
      !'"\\/bfnrt'.includes(kind)
    )
      throw syntax();
  }

  // The raw text is well-formed, so that a surrogate can only be half of an escaped pair.
  #unicodeEscape(): void {
    const unit = this.#hex4();
    if (unit < 0xd800 || unit > 0xdfff) return;
    const isPair = unit < 0xdc00 && this.#take("\\") && this.#take("u");
    const low = isPair ? this.#hex4() : 0;
    if (low < 0xdc00 || low > 0xdfff)
      throw new JsonError("ERR_JSON_SURROGATE", "JSON string: lone surrogate");
  }

  #hex4(): number {
    const digits = this.#match(HEX4);
    if (digits === undefined) throw syntax();
    return Number.parseInt(digits, 16);
  }

  #number(): void {
    const digits = this.#match(NUMBER);
    if (digits === undefined) throw syntax();
    // 1e400 would become Infinity, which passes every "is it later than now".
    if (!Number.isFinite(Number(digits)))
      throw new JsonError("ERR_JSON_NUMBER", "JSON number: beyond the range of a double");
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}

function syntax(): JsonError {
  return new JsonError("ERR_JSON_SYNTAX", "JSON syntax error");
}

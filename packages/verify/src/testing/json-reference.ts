import type { JsonValue } from "../json.ts";

/**
 * A second, slow reader of strict JSON, written apart from the first: it splits the text into tokens with one
 * expression and builds the value itself, so that neither the engine's parser nor our scanner is asked.
 * Returns undefined for every document that must be refused.
 */
export function referenceParse(text: string, maxDepth: number): { value: JsonValue } | undefined {
  const tokens = tokenize(text);
  if (tokens === undefined || !text.isWellFormed()) return undefined;
  const reader = { tokens, at: 0 };
  try {
    const value = readValue(reader, maxDepth);
    return reader.at === tokens.length ? { value } : undefined;
  } catch (error) {
    if (error instanceof Refused) return undefined;
    throw error;
  }
}

interface Reader {
  readonly tokens: readonly string[];
  at: number;
}

class Refused extends Error {}

const TOKEN =
  /[ \t\n\r]+|[{}[\]:,]|"(?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null/y;

function tokenize(text: string): readonly string[] | undefined {
  const tokens: string[] = [];
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.[0];
    if (token === undefined || hasControlInString(token)) return undefined;
    if (!/^[ \t\n\r]/.test(token)) tokens.push(token);
  }
  return tokens;
}

function hasControlInString(token: string): boolean {
  return token.startsWith('"') && Array.from(token).some((character) => character < " ");
}

function readValue(reader: Reader, depth: number): JsonValue {
  const token = next(reader);
  if (token === "{") return readObject(reader, depth);
  if (token === "[") return readArray(reader, depth);
  if (token === "true") return true;
  if (token === "false") return false;
  if (token === "null") return null;
  if (token.startsWith('"')) return unescape(token);
  if (/^[-0-9]/.test(token)) return finite(Number(token));
  throw new Refused();
}

function readObject(reader: Reader, depth: number): JsonValue {
  if (depth === 0) throw new Refused();
  const members = new Map<string, JsonValue>();
  if (peek(reader) === "}") return finish(reader, members);
  for (;;) {
    const raw = next(reader);
    if (!raw.startsWith('"') || raw.includes("\\")) throw new Refused();
    const name = raw.slice(1, -1);
    if (name === "__proto__" || members.has(name) || next(reader) !== ":") throw new Refused();
    members.set(name, readValue(reader, depth - 1));
    if (peek(reader) === "}") return finish(reader, members);
    if (next(reader) !== ",") throw new Refused();
  }
}

function finish(reader: Reader, members: ReadonlyMap<string, JsonValue>): JsonValue {
  reader.at += 1;
  return Object.fromEntries(members);
}

function readArray(reader: Reader, depth: number): JsonValue {
  if (depth === 0) throw new Refused();
  const items: JsonValue[] = [];
  if (peek(reader) === "]") {
    reader.at += 1;
    return items;
  }
  for (;;) {
    items.push(readValue(reader, depth - 1));
    const token = next(reader);
    if (token === "]") return items;
    if (token !== ",") throw new Refused();
  }
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

function unescape(token: string): string {
  const text = token
    .slice(1, -1)
    .replace(/\\(?:u(....)|(.))/g, (_all, hex?: string, short?: string) =>
      hex === undefined
        ? (SHORT_ESCAPES[short ?? ""] ?? short ?? "")
        : String.fromCharCode(Number.parseInt(hex, 16)),
    );
  if (!text.isWellFormed()) throw new Refused();
  return text;
}

function finite(value: number): number {
  if (!Number.isFinite(value)) throw new Refused();
  return value;
}

function next(reader: Reader): string {
  const token = peek(reader);
  reader.at += 1;
  return token;
}

function peek(reader: Reader): string {
  const token = reader.tokens[reader.at];
  if (token === undefined) throw new Refused();
  return token;
}

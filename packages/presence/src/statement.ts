import { hash } from "node:crypto";
import { canonicalBytes, MemberReader, REALM, SHA256 } from "@redoubt/base";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { ACTION_NAMES, ACTIONS, type ActionName, type Said } from "./actions/index.ts";
import { RP_ID } from "./person.ts";
import { PresenceError, refuseAs } from "./presence-error.ts";
import { rendererOf, renderLines, textHash } from "./renderer.ts";

/** Every size of a statement follows from this. */
export const MAX_STATEMENT_BYTES = 8192;
/** A day: whoever acts bounds the age of what it takes much closer. */
export const MAX_LIFE_SECONDS = 86_400;
export const MAX_SECONDS = 2 ** 40;
const NONCE_BYTES = 16;
/** RFC 6454 §6.2, as browsers write it; plain http is for loopback names only. */
export const ORIGIN: RegExp =
  /^(?:https:\/\/[a-z0-9][a-z0-9.-]{0,252}|http:\/\/(?:[a-z0-9-]+\.)*localhost)(?::[1-9][0-9]{0,4})?$/;
// docs/spec/presence.md §2: nothing else that is hashed in this product begins so.
const CHALLENGE_CONTEXT = Buffer.from("redoubt/presence/v1\n", "utf8");

/** What a statement says besides its action and subject. */
export interface StatementFrame {
  readonly realm: string;
  /** What the server knows about it, by the names that the action allows. */
  readonly facts?: Readonly<Record<string, string>>;
  /** POSIX seconds. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly rpId: string;
  /** Where it is shown, and the only origin that an assertion may come from. */
  readonly origin: string;
}

/** docs/spec/presence.md §1. */
export type PresenceStatement<A extends ActionName = ActionName> = StatementFrame & {
  readonly v: 1;
  readonly renderer: { readonly id: string; readonly sha256: string };
  readonly nonce: string;
} & Extract<Said, { readonly action: A }>;

/** A statement with all that follows from it. */
export interface OpenedStatement {
  readonly statement: PresenceStatement;
  /** Canonical. */
  readonly bytes: Buffer;
  /** What a person is shown. */
  readonly text: readonly string[];
  /** What a passkey signs: SHA-256, 32 bytes. */
  readonly challenge: Buffer;
  /** Eight characters of the challenge, for a person to compare on two screens. */
  readonly code: string;
}

/**
 * Makes a statement: renders it, and puts the hash of what will be shown into it.
 *
 * @param nonce 16 random bytes
 * @throws PresenceError `ERR_PRESENCE_STATEMENT` for what could not be read back
 */
export function makeStatement(body: StatementFrame & Said, nonce: Uint8Array): OpenedStatement {
  const { facts, subject, ...rest } = body;
  const draft: JsonObject = {
    ...rest,
    subject: { ...subject },
    ...(facts && { facts: { ...facts } }),
    v: 1,
    nonce: encodeBase64url(nonce),
  };
  return refuseAs("ERR_PRESENCE_STATEMENT", "Statement", () => {
    const { statement, text } = read(new MemberReader(draft, "statement"));
    const renderer = { id: rendererOf(statement.action), sha256: textHash(text) };
    return openStatement(canonicalBytes({ ...draft, renderer }));
  });
}

/**
 * Reads a statement and renders it again.
 *
 * @throws PresenceError `ERR_PRESENCE_STATEMENT`, `ERR_PRESENCE_TEXT`
 */
export function openStatement(bytes: Uint8Array): OpenedStatement {
  const opened = refuseAs("ERR_PRESENCE_STATEMENT", "Statement", () => {
    const object = parseJsonObject(bytes, { maxBytes: MAX_STATEMENT_BYTES, maxDepth: 3 });
    // One statement has one encoding, and so one challenge.
    const canonical = canonicalBytes(object);
    if (!canonical.equals(bytes)) throw malformed("not canonical JSON");
    const reader = new MemberReader(object, "statement");
    const rendererReader = reader.object("renderer");
    const renderer = Object.freeze({
      id: rendererReader.string("id", 64),
      sha256: rendererReader.string("sha256", 43, SHA256),
    });
    rendererReader.done();
    const { statement, text } = read(reader);
    return { statement: Object.freeze({ ...statement, renderer }), text, bytes: canonical };
  });
  const { renderer, action } = opened.statement;
  // P8: what was shown is provable only if everybody makes the same text of the same statement.
  if (renderer.id !== rendererOf(action) || renderer.sha256 !== textHash(opened.text))
    throw new PresenceError(
      "ERR_PRESENCE_TEXT",
      `Renderer ${rendererOf(action)} makes another text of the statement`,
    );
  const challenge = hash("sha256", Buffer.concat([CHALLENGE_CONTEXT, opened.bytes]), "buffer");
  return Object.freeze({ ...opened, challenge, code: shortCode(challenge) });
}

/** All but the renderer, and the text that goes with it. */
function read(reader: MemberReader) {
  reader.integer("v", 1, 1);
  const action = ACTIONS[reader.oneOf("action", ACTION_NAMES)];
  const { said, title, rows } = action.open(reader.object("subject"));
  const facts = reader.has("facts")
    ? readFacts(reader.object("facts"), Object.keys(action.facts))
    : undefined;
  const frame = readFrame(reader);
  const nonce = reader.string("nonce", 22);
  decodeBase64url(nonce, { bytes: NONCE_BYTES });
  if (reader.has("renderer")) reader.rawObject("renderer");
  reader.done();
  const known = Object.entries(facts ?? {}).map(([name, value]) => {
    const label = action.facts[name];
    if (label === undefined) throw malformed("a fact that has no label");
    return [label, value] as const;
  });
  const text = renderLines({ title, rows: [...rows, ...known], ...frame });
  return {
    statement: { v: 1, ...said, ...frame, ...(facts && { facts }), nonce } as const,
    text,
  };
}

function readFrame(reader: MemberReader): Omit<StatementFrame, "facts"> {
  const issuedAt = reader.integer("issuedAt", 0, MAX_SECONDS);
  return {
    realm: reader.string("realm", 32, REALM),
    issuedAt,
    expiresAt: reader.integer("expiresAt", issuedAt + 1, issuedAt + MAX_LIFE_SECONDS),
    rpId: reader.string("rpId", 253, RP_ID),
    origin: reader.string("origin", 270, ORIGIN),
  };
}

/** In the order in which the action names them, so that the text does not depend on the encoding. */
function readFacts(
  reader: MemberReader,
  allowed: readonly string[],
): Readonly<Record<string, string>> {
  const facts = allowed
    .filter((name) => reader.has(name))
    .map((name) => [name, reader.string(name, 256)] as const);
  reader.done();
  if (facts.length === 0) throw malformed("facts must hold a fact, or be left out");
  return Object.freeze(Object.fromEntries(facts));
}

// Crockford's base 32: no I, L, O or U. Forty bits: five bytes of the challenge are eight characters.
const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

function shortCode(challenge: Buffer): string {
  let bits = BigInt(challenge.readUIntBE(0, 5));
  let code = "";
  for (let i = 0; i < 8; i += 1) {
    code = CROCKFORD.charAt(Number(bits & 31n)) + code;
    bits >>= 5n;
  }
  return code;
}

function malformed(reason: string): PresenceError {
  return new PresenceError("ERR_PRESENCE_STATEMENT", `Statement is malformed: ${reason}`);
}

import {
  canonicalBytes,
  CLIENT_ID,
  MemberReader,
  REALM,
  ServiceError,
  SHA256,
  UUID,
} from "@redoubt/base";
import {
  CREDENTIAL_CLASSES,
  CREDENTIAL_ID,
  MAX_COSE_BYTES,
  MAX_CREDENTIAL_BYTES,
  MAX_CREDENTIAL_TEXT,
  parseCoseKey,
  RP_ID,
} from "@redoubt/presence";
import { parseVerifierKey, SIGNATURE_TYPE, type VerifierKey } from "@redoubt/tlog";
import { parsePublicJwk } from "@redoubt/verify";
import { decodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { KeyError } from "@redoubt/keys";
import { KEY_STATES } from "@redoubt/keys";
import { readClientLogin } from "./client-login.ts";
import { MAX_ROOT_VERSION, ROOT_KINDS } from "./root-document.ts";
import { MAX_SIGNED_ROOT_BYTES } from "./root-signature.ts";
import { PINNED } from "./statement-types.ts";
import type {
  ClientStatement,
  EnrolmentStatement,
  LogClosedStatement,
  RealmStatement,
  Statement,
  StatementCommon,
} from "./statement-types.ts";

export const MAX_STATEMENT_BYTES = 128 * 1024;
const MAX_BROKER_REALMS = 64;
const MAX_RECORD_TEXT = 96 * 1024;
const MAX_COSE_TEXT = Math.ceil((MAX_COSE_BYTES * 4) / 3);
const MAX_ROOT_TEXT = Math.ceil((MAX_SIGNED_ROOT_BYTES * 4) / 3);
// RFC 6749 §3.3: a scope with a space in it would be two.
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;
/** RFC 7519 §4.1.7, as signers make them; a digest is one of 43 characters. */
const JTI = /^[\w-]{16,64}$/;
export const NONCE_BYTES = 16;
const DIGEST_BYTES = 32;
export const SIGNATURE_BYTES = 64;
export const MAX_SECONDS = 2 ** 40;

/** @throws KeyError `ERR_STATEMENT_MALFORMED` */
export function parseStatement(bytes: Uint8Array): Statement {
  return refuseAsMalformed(() => {
    const reader = new MemberReader(parseCanonical(bytes, MAX_STATEMENT_BYTES), "statement");
    reader.integer("v", 1, 1);
    const common = {
      at: reader.integer("at", 0, MAX_SECONDS),
      nonce: base64urlText(reader, "nonce", NONCE_BYTES),
    };
    const statement = parseBody(reader, common);
    reader.done();
    return statement;
  });
}

function parseBody(reader: MemberReader, common: StatementCommon): Statement {
  const type = reader.oneOf("type", [
    "realm",
    "writer",
    "broker",
    "log-closed",
    "witness-forward",
    "pinned-key",
    "body-read",
    "tenant",
    "client",
    "reporter",
    "enrolment",
    "key",
    "key-state",
    "key-retain",
    "root",
  ]);
  switch (type) {
    case "realm":
      return { ...common, type, realm: realm(reader), ...parseRealm(reader) };
    case "writer":
      return {
        ...common,
        type,
        realm: realm(reader),
        log: reader.string("log", 256),
        writer: verifierKeyText(reader, "writer"),
        logKey: verifierKeyText(reader, "logKey"),
      };
    case "broker":
      return {
        ...common,
        type,
        log: reader.string("log", 256),
        writer: verifierKeyText(reader, "writer"),
        logKey: verifierKeyText(reader, "logKey"),
        realms: someRealms(reader),
      };
    case "log-closed":
      return {
        ...common,
        type,
        ...(reader.has("realm") && { realm: realm(reader) }),
        ...parseTree(reader),
        successor: reader.string("successor", 256),
        reason: reader.string("reason", 256),
      };
    case "witness-forward":
      return { ...common, type, ...parseTree(reader), reason: reader.string("reason", 256) };
    case "pinned-key": {
      const what = reader.oneOf("what", PINNED);
      const wanted = what === "witness" ? SIGNATURE_TYPE.cosignature : SIGNATURE_TYPE.ed25519;
      return {
        ...common,
        type,
        what,
        key: verifierKeyText(reader, "key", wanted),
        ...(reader.has("before") && { before: verifierKeyText(reader, "before", wanted) }),
        reason: reader.string("reason", 256),
      };
    }
    case "body-read":
      return {
        ...common,
        type,
        realm: realm(reader),
        by: reader.oneOf("by", ["digest", "jti"]),
        token: reader.string("token", 64, JTI),
        reason: reader.string("reason", 256),
      };
    case "tenant":
      return {
        ...common,
        type,
        realm: realm(reader),
        tenant: reader.string("tenant", 36, UUID),
        status: reader.oneOf("status", ["active", "suspended", "deleted"]),
        audiences: distinct(reader, "audiences", 256),
      };
    case "client":
      return { ...common, type, realm: realm(reader), ...parseClient(reader) };
    case "reporter":
      return {
        ...common,
        type,
        reporter: reader.string("reporter", 64, /^[A-Za-z0-9._-]+$/),
        publicKey: ed25519Text(reader),
        status: reader.oneOf("status", ["active", "disabled"]),
      };
    case "enrolment":
      return { ...common, type, realm: realm(reader), ...parseEnrolment(reader) };
    case "key":
      return {
        ...common,
        type,
        realm: realm(reader),
        kid: base64urlText(reader, "kid", DIGEST_BYTES),
        record: reader.string("record", MAX_RECORD_TEXT, /^[\w-]+$/),
        ring: base64urlText(reader, "ring", SIGNATURE_BYTES),
      };
    case "key-state":
      return {
        ...common,
        type,
        realm: realm(reader),
        kid: base64urlText(reader, "kid", DIGEST_BYTES),
        state: reader.oneOf("state", KEY_STATES),
        reason: reader.string("reason", 256),
      };
    case "key-retain":
      return {
        ...common,
        type,
        realm: realm(reader),
        kid: base64urlText(reader, "kid", DIGEST_BYTES),
        by: reader.oneOf("by", ["ring", "operator"]),
        retain: reader.boolean("retain"),
        reason: reader.string("reason", 256),
      };
    case "root":
      return {
        ...common,
        type,
        kind: reader.oneOf("kind", ROOT_KINDS),
        version: reader.integer("version", 1, MAX_ROOT_VERSION),
        hash: base64urlText(reader, "hash", DIGEST_BYTES),
        root: signedRootText(reader),
      };
  }
}

function realm(reader: MemberReader): string {
  return reader.string("realm", 32, REALM);
}

/** A log and the tree that it had at a size. */
function parseTree(reader: MemberReader): Pick<LogClosedStatement, "log" | "size" | "root"> {
  return {
    log: reader.string("log", 256),
    size: reader.integer("size", 0, Number.MAX_SAFE_INTEGER),
    root: base64urlText(reader, "root", DIGEST_BYTES),
  };
}

function parseRealm(reader: MemberReader): Pick<RealmStatement, "issuer" | "ring" | "tenantRule"> {
  const rule = reader.object("tenantRule");
  const tenantRule = rule.has("fixed")
    ? { fixed: rule.string("fixed", 36, UUID) }
    : { except: distinct(rule, "except", 16, UUID) };
  rule.done();
  return { issuer: reader.string("issuer"), ring: verifierKeyText(reader, "ring"), tenantRule };
}

function parseClient(
  reader: MemberReader,
): Omit<ClientStatement, keyof StatementCommon | "type" | "realm"> {
  return {
    tenant: reader.string("tenant", 36, UUID),
    client: reader.string("client", 128, CLIENT_ID),
    status: reader.oneOf("status", ["active", "disabled", "removed"]),
    audiences: distinct(reader, "audiences", 64),
    scopes: distinct(reader, "scopes", 64, SCOPE),
    ...(reader.has("credentialsHash") && {
      credentialsHash: reader.string("credentialsHash", 43, SHA256),
    }),
    ...(reader.has("login") && { login: readClientLogin(reader.object("login")) }),
  };
}

function parseEnrolment(
  reader: MemberReader,
): Omit<EnrolmentStatement, keyof StatementCommon | "type" | "realm"> {
  const enrolment = {
    person: reader.string("person", 43, SHA256),
    credential: reader.string("credential", MAX_CREDENTIAL_TEXT, CREDENTIAL_ID),
    publicKey: reader.string("publicKey", MAX_COSE_TEXT),
    class: reader.oneOf("class", CREDENTIAL_CLASSES),
    rpId: reader.string("rpId", 253, RP_ID),
    status: reader.oneOf("status", ["active", "removed"]),
    ...(reader.has("aaguid") && { aaguid: reader.string("aaguid", 36, UUID) }),
  };
  decodeBase64url(enrolment.credential, { maxBytes: MAX_CREDENTIAL_BYTES });
  parseCoseKey(decodeBase64url(enrolment.publicKey, { maxBytes: MAX_COSE_BYTES }));
  return enrolment;
}

/** A broker that grants leases for nobody is none. */
function someRealms(reader: MemberReader): readonly string[] {
  const realms = distinct(reader, "realms", MAX_BROKER_REALMS);
  if (realms.length === 0) throw malformed("realms must name a realm");
  return realms;
}

/** A list that is a set: a repeated item, or one that does not match `pattern`, is refused. */
function distinct(
  reader: MemberReader,
  name: string,
  max: number,
  pattern = /^[^\p{Cc}]+$/u,
): readonly string[] {
  const items = reader.strings(name, max);
  const isSet = new Set(items).size === items.length;
  if (!isSet || !items.every((item) => pattern.test(item)))
    throw malformed(`${name} must be distinct and like ${pattern.source}`);
  return items;
}

/** base64url of exactly so many bytes, in its one spelling. */
export function base64urlText(reader: MemberReader, name: string, bytes: number): string {
  const text = reader.string(name, 128);
  decodeBase64url(text, { bytes });
  return text;
}

/** An Ed25519 key. One under which anybody can make signatures, or a second spelling of one, is refused, as in a record. */
function ed25519Text(reader: MemberReader): string {
  const x = reader.string("publicKey", 128);
  parsePublicJwk({ kty: "OKP", crv: "Ed25519", x }, "Ed25519");
  return x;
}

function signedRootText(reader: MemberReader): string {
  const text = reader.string("root", MAX_ROOT_TEXT);
  decodeBase64url(text, { maxBytes: MAX_SIGNED_ROOT_BYTES });
  return text;
}

// logs.md §4: every author is an Ed25519 key; a cosigner's key signs something else (C2SP tlog-cosignature).
function verifierKeyText(
  reader: MemberReader,
  name: string,
  type: VerifierKey["type"] = SIGNATURE_TYPE.ed25519,
): string {
  const text = reader.string(name, 512);
  if (parseVerifierKey(text).type !== type)
    throw malformed(`${name} must be a verifier key of type ${type}`);
  return text;
}

/** One statement has one encoding: whoever relays it cannot make a second one out of it. */
export function parseCanonical(bytes: Uint8Array, maxBytes: number): JsonObject {
  const object = parseJsonObject(bytes, { maxBytes });
  if (!canonicalBytes(object).equals(bytes)) throw malformed("not canonical JSON");
  return object;
}

/** Makes one error, `ERR_STATEMENT_MALFORMED`, of whatever `read` refuses; a `KeyError` passes as it is. */
export function refuseAsMalformed<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof Error) || cause instanceof KeyError) throw cause;
    const reason = cause instanceof ServiceError ? `: ${cause.message}` : "";
    throw new KeyError("ERR_STATEMENT_MALFORMED", `Statement is malformed${reason}`, { cause });
  }
}

function malformed(reason: string): KeyError {
  return new KeyError("ERR_STATEMENT_MALFORMED", `Statement is malformed: ${reason}`);
}

import { encodeCanonical } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import { MAX_HEAD_BYTES } from "../frame.ts";
import {
  anyObject,
  anything,
  bytes,
  flag,
  integer,
  mark,
  oneOf,
  refuseMember,
  text,
  textOrEmpty,
  type Member,
  type Values,
} from "./member.ts";
import { group, list, message, nullable, optional } from "./message.ts";
import { operation } from "./operation.ts";

const KID = text(43, /^[\w-]{43}$/);
const KID_OR_NONE = nullable(KID);
/** A statement's reason has 256 characters at most, and the signer writes into it who asked, too. */
const REASON = text(160, /^[^\p{Cc}]+$/u);
/** P8: until presence is proven, an answer says that it was not. */
const PRESENCE = text(32);
const LABELS = list(text(), 256);
const MAX_SECONDS = 2 ** 40;
const MAX_BATCH_ITEMS = 256;
const MAX_CONTEXT_CHARACTERS = 2048;
const MAX_TOKEN_CHARACTERS = 16_384;

/** Why a caller issues: goes into the sealed body, never into the token. */
const CONTEXT: Member<JsonObject> = {
  read: (value, name, what) => {
    const context = anyObject.read(value, name, what);
    return canonicalLength(context) <= MAX_CONTEXT_CHARACTERS
      ? context
      : refuseMember(what, name, `${MAX_CONTEXT_CHARACTERS} characters of canonical JSON`);
  },
  write: (value) => value,
};

/** Infinite where there is no canonical form. */
function canonicalLength(object: JsonObject): number {
  try {
    return encodeCanonical(object).length;
  } catch {
    return Infinity;
  }
}

/** What a caller asks for: intent, no bytes (P2). Every member is chosen by the caller. */
const ISSUE = {
  handle: group({ realm: text(32), tenant: text(36), class: text(16) }),
  client: text(128),
  sub: text(256),
  audience: text(),
  /** RFC 6749 §3.3. */
  scope: optional(text(1024, /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/)),
  // Any upper bound here would hide ERR_SIGNER_TTL behind another code.
  ttl: optional(integer(1)),
  context: optional(CONTEXT),
};
export type IssueRequest = Values<typeof ISSUE>;

const ISSUED = {
  token: text(MAX_TOKEN_CHARACTERS, /^[\w-]+\.[\w-]+\.[\w-]+$/),
  kid: KID,
  jti: text(64),
  expiresIn: integer(),
  log: text(256),
  index: integer(),
};
export type IssuedToken = Values<typeof ISSUED>;

/** What stands in place of a token among the results of a batch. */
export const ISSUE_REFUSAL = message("issueBatch refusal", {
  code: text(64),
  message: textOrEmpty(200),
  retryAfterSeconds: optional(integer()),
  /** The entry is in the log. So the issuer reports its digest as delivered, from `unsigned` (reports.md §4). */
  committed: mark,
  unsigned: optional(text(MAX_TOKEN_CHARACTERS)),
});

const REALM_KEY = {
  kid: KID,
  state: text(32),
  stateAt: integer(),
  index: integer(),
  jwk: anyObject,
  record: text(MAX_HEAD_BYTES),
  ring: text(86),
};
const REALM_KEYS = {
  asOf: integer(),
  /** When a witness last vouched for the registry as it was read; 0 before the first time. */
  asOfSeconds: integer(),
  keys: list(group(REALM_KEY), MAX_BATCH_ITEMS),
  refreshHintSeconds: integer(),
};
export type RealmKey = Values<typeof REALM_KEY>;
export type RealmKeys = Values<typeof REALM_KEYS>;

const METADATA = {
  realm: text(32),
  instance: text(64),
  log: text(256),
  maxTtlSeconds: integer(),
  custody: text(64),
  isolation: text(32),
  ready: flag,
  problem: nullable(text(64)),
  size: integer(),
  /** Entries of the registry that it has read. */
  registrySize: integer(),
  /** How many of them are statements that the issuer of this realm is shown. */
  issuerStatements: integer(),
  pending: integer(),
  cosigned: nullable(group({ size: integer(), timeSeconds: integer() })),
  labels: LABELS,
};
export type SignerMetadata = Values<typeof METADATA>;

const DRILL_KEY = {
  publicKey: anyObject,
  tenant: text(36),
  issuer: optional(text()),
  signFrom: integer(0, MAX_SECONDS),
  signUntil: integer(0, MAX_SECONDS),
  verifyUntil: integer(0, MAX_SECONDS),
};
export type DrillKeyRequest = Values<typeof DRILL_KEY>;

/** Of a caller that had to build the token itself: its payload is signed as it is, or not at all. */
const SIGN_EXACT = {
  /** The payload's segment of the token; the signer judges what is in it. */
  payload: text(MAX_TOKEN_CHARACTERS),
};
const EXACT_SIGNATURE = {
  /** First and third segment of the token. */
  header: text(1024, /^[\w-]+$/),
  signature: text(1024, /^[\w-]+$/),
};
export type ExactSignature = Values<typeof EXACT_SIGNATURE>;

/** The same of a caller that serves many clients: it names whose token this is, and the signer judges whether it may be. */
const SIGN_EXACT_FOR = {
  handle: group({ realm: text(32), tenant: text(36), class: text(16) }),
  client: text(128),
  /** What the caller takes for the header; the token is refused where the active key's is another. */
  header: text(1024, /^[\w-]+$/),
  payload: text(MAX_TOKEN_CHARACTERS, /^[\w-]+$/),
};
export type ExactRequest = Values<typeof SIGN_EXACT_FOR>;

const RING_KEY = {
  kid: KID,
  state: text(32),
  stateAt: integer(),
  signUntil: integer(),
  verifyUntil: integer(),
  retained: nullable(oneOf("ring", "operator")),
  held: flag,
  activatedAt: nullable(integer()),
  age: nullable(
    group({
      seconds: integer(),
      percent: integer(),
      level: oneOf("young", "notify", "alarm", "stop"),
      endsAt: integer(),
    }),
  ),
};
const RING = {
  class: oneOf("at", "oidc"),
  alg: text(32),
  active: KID_OR_NONE,
  policy: group({
    activeSeconds: integer(),
    expirySeconds: integer(),
    prepublishSeconds: integer(),
    verifyOnlySeconds: integer(),
    standby: integer(),
    alarmAtPercent: integer(),
    notifySeconds: nullable(integer()),
    labels: LABELS,
    notes: LABELS,
  }),
  keys: list(group(RING_KEY), 1024),
};
export type RingKeyStatus = Values<typeof RING_KEY>;
export type RingStatus = Values<typeof RING>;

/** Whose body is to be opened: the registry says that somebody reads it. A sealed blob is attached. */
const OPEN_BODY = {
  log: text(256),
  by: oneOf("digest", "jti"),
  token: text(64, /^[\w-]+$/),
  /** By digest: the entry that commits to the body, and the body's place in the blob. */
  entry: optional(bytes({ bytes: 65 })),
  position: optional(integer(0, 0xffff)),
};
const OPENED_BODY = {
  /** Of the blob: `null` where no body in it has this jti. */
  position: nullable(integer()),
  body: nullable(anyObject),
};
export type OpenedBody = Values<typeof OPENED_BODY>;

const TAKEOVER = { kid: KID, before: KID_OR_NONE, presence: PRESENCE };

/** The signer's sockets (docs/spec/wire.md §3). */
export const SIGNER = {
  issue: operation("issue", ISSUE, ISSUED),
  /** Each item is an `issue` request and is read by itself; each result is its token or its refusal. */
  issueBatch: operation(
    "issueBatch",
    { items: list(anything, MAX_BATCH_ITEMS, 1) },
    { results: list(anything, MAX_BATCH_ITEMS) },
  ),
  signExact: operation("signExact", SIGN_EXACT, EXACT_SIGNATURE),
  signExactFor: operation("signExactFor", SIGN_EXACT_FOR, ISSUED),
  openBody: operation("openBody", OPEN_BODY, OPENED_BODY),
  fetchKeys: operation("fetchKeys", { since: optional(integer()) }, REALM_KEYS),
  metadata: operation("metadata", {}, METADATA),
  drillKey: operation("drillKey", DRILL_KEY, {
    kid: KID,
    record: text(MAX_HEAD_BYTES),
    ring: text(86),
  }),
  rotate: operation(
    "rotate",
    // P6: `early` says aloud that a key may sign before every verifier knows it.
    { class: oneOf("at", "oidc"), reason: REASON, early: mark },
    TAKEOVER,
  ),
  taint: operation(
    "taint",
    { kid: KID, reason: REASON, early: mark },
    { kid: KID, state: oneOf("tainted", "revoked"), active: KID_OR_NONE, presence: PRESENCE },
  ),
  retain: operation(
    "retain",
    { kid: KID, retain: flag, reason: REASON },
    { kid: KID, retained: flag, presence: PRESENCE },
  ),
  rollback: operation("rollback", { kid: KID, reason: REASON }, TAKEOVER),
  rings: operation("rings", {}, { rings: list(group(RING), 16) }),
};

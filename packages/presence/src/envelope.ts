import { hash, sign, verify, type KeyObject } from "node:crypto";
import { canonicalBytes, MemberReader } from "@redoubt/base";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { checkTime, MAX_SKEW_SECONDS } from "./accept-approval.ts";
import { MAX_ASSERTIONS, verifyApprovers, type Approver, type Ceremony } from "./approvers.ts";
import type { Assertion } from "./assertion.ts";
import type { Enrolments } from "./enrolment.ts";
import { PresenceError, refuseAs } from "./presence-error.ts";
import { readAssertion } from "./read-assertion.ts";
import { MAX_SECONDS, openStatement, type OpenedStatement } from "./statement.ts";

/** in-toto Attestation Framework v1: the media type of a Statement in a DSSE envelope. */
const PAYLOAD_TYPE = "application/vnd.in-toto+json";
const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE = "urn:redoubt:presence:v1";
const SUBJECT_NAME = "presence-statement";
export const MAX_ENVELOPE_BYTES = 131_072;
const MAX_PAYLOAD_BYTES = 65_536;
const KEY_ID = /^[\x21-\x7e]{1,256}$/;
const ED25519_SIGNATURE_BYTES = 64;

/** Who acted on the approval, and says when. */
export interface ActingService {
  readonly keyId: string;
  /** Ed25519. */
  readonly publicKey: KeyObject;
}

export interface SealOptions {
  readonly statement: OpenedStatement;
  readonly assertions: readonly Assertion[];
  /** When it was acted on, POSIX seconds. */
  readonly at: number;
  readonly service: { readonly keyId: string; readonly privateKey: KeyObject };
}

export interface OpenOptions {
  readonly enrolments: Enrolments;
  readonly ceremony: Ceremony;
  /** Whose word on the time counts. */
  readonly services: readonly ActingService[];
  /** POSIX seconds; a later time than this in an envelope is refused. Left out, any is taken. */
  readonly now?: number;
}

/** What an envelope says, before anything is verified. */
export interface UnverifiedEnvelope {
  readonly statement: OpenedStatement;
  readonly assertions: readonly Assertion[];
  readonly at: number;
  readonly keyId: string;
}

export interface OpenedEnvelope {
  readonly statement: OpenedStatement;
  readonly approvers: readonly Approver[];
  readonly at: number;
  readonly keyId: string;
}

/**
 * Keeps an approval for whoever asks later: a DSSE envelope with an in-toto Statement, which holds the raw assertions.
 * The signature vouches for the time alone.
 *
 * @throws TypeError for a key that is not Ed25519
 * @throws PresenceError `ERR_PRESENCE_ENVELOPE` for what could not be read back
 */
export function sealEnvelope({ statement, assertions, at, service }: SealOptions): Buffer {
  if (service.privateKey.asymmetricKeyType !== "ed25519")
    throw new TypeError("Envelope: the service's key is not an Ed25519 key");
  const payload = canonicalBytes({
    _type: STATEMENT_TYPE,
    subject: [{ name: SUBJECT_NAME, digest: { sha256: digestOf(statement) } }],
    predicateType: PREDICATE_TYPE,
    predicate: {
      statement: encodeBase64url(statement.bytes),
      assertions: assertions.map((assertion) => encodeAssertion(assertion)),
      at,
    },
  });
  const envelope = canonicalBytes({
    payloadType: PAYLOAD_TYPE,
    payload: payload.toString("base64"),
    signatures: [
      {
        keyid: service.keyId,
        sig: sign(null, preAuthEncoding(payload), service.privateKey).toString("base64"),
      },
    ],
  });
  parseEnvelope(envelope);
  return envelope;
}

/**
 * Verifies an envelope without asking anybody: text, assertions, enrolments as of then, persons, and the time.
 *
 * @throws PresenceError
 */
export function openEnvelope(
  bytes: Uint8Array,
  { enrolments, ceremony, services, now }: OpenOptions,
): OpenedEnvelope {
  const { payload, sig, ...said } = parseEnvelope(bytes);
  const { statement, assertions, at, keyId } = said;
  // Without a time that somebody vouches for, a passkey that was removed since would count for whatever it is put to.
  const service = services.find((one) => one.keyId === keyId);
  if (
    service?.publicKey.asymmetricKeyType !== "ed25519" ||
    !verify(null, preAuthEncoding(payload), service.publicKey, sig)
  )
    throw new PresenceError(
      "ERR_PRESENCE_SIGNATURE",
      "Envelope is signed by no service that is known",
    );
  if (now !== undefined && !(at <= now + MAX_SKEW_SECONDS))
    throw new PresenceError("ERR_PRESENCE_TIME", "Envelope is of a later time than now");
  checkTime(statement, at);
  // THREAT-20: whoever holds the service's key can date an approval, and make none.
  const approvers = verifyApprovers(statement, assertions, { enrolments, ceremony, at });
  return Object.freeze({ statement, approvers, at, keyId });
}

/**
 * What an envelope says of itself.
 *
 * @throws PresenceError `ERR_PRESENCE_ENVELOPE`, `ERR_PRESENCE_STATEMENT`, `ERR_PRESENCE_TEXT`
 */
export function unverifiedEnvelope(bytes: Uint8Array): UnverifiedEnvelope {
  const { statement, assertions, at, keyId } = parseEnvelope(bytes);
  return { statement, assertions, at, keyId };
}

interface Parsed extends UnverifiedEnvelope {
  readonly payload: Buffer;
  readonly sig: Buffer;
}

function parseEnvelope(bytes: Uint8Array): Parsed {
  return refuseAs("ERR_PRESENCE_ENVELOPE", "Envelope", () => {
    const reader = new MemberReader(parseCanonical(bytes, MAX_ENVELOPE_BYTES), "envelope");
    reader.oneOf("payloadType", [PAYLOAD_TYPE]);
    const payload = decodeBase64(reader.string("payload", MAX_ENVELOPE_BYTES));
    const [signature, ...more] = reader.objects("signatures", 1);
    if (!signature || more.length > 0) throw malformed("one signature");
    const keyId = signature.string("keyid", 256, KEY_ID);
    const sig = decodeBase64(signature.string("sig", 128));
    if (sig.length !== ED25519_SIGNATURE_BYTES) throw malformed("an Ed25519 signature");
    signature.done();
    reader.done();
    return { payload, keyId, sig, ...parsePayload(payload) };
  });
}

function parsePayload(payload: Buffer): Pick<Parsed, "statement" | "assertions" | "at"> {
  const reader = new MemberReader(parseCanonical(payload, MAX_PAYLOAD_BYTES), "payload");
  reader.oneOf("_type", [STATEMENT_TYPE]);
  reader.oneOf("predicateType", [PREDICATE_TYPE]);
  const [subject] = reader.objects("subject", 1);
  if (!subject) throw malformed("a subject");
  subject.oneOf("name", [SUBJECT_NAME]);
  const digest = subject.object("digest");
  const sha256 = digest.string("sha256", 64);
  digest.done();
  subject.done();
  const predicate = reader.object("predicate");
  const statement = openStatement(
    decodeBase64url(predicate.string("statement", MAX_PAYLOAD_BYTES)),
  );
  const assertions = predicate
    .objects("assertions", MAX_ASSERTIONS)
    .map((one) => readAssertion(one));
  const at = predicate.integer("at", 0, MAX_SECONDS);
  predicate.done();
  reader.done();
  if (sha256 !== digestOf(statement)) throw malformed("a subject that is the statement");
  return { statement, assertions, at };
}

function encodeAssertion(assertion: Assertion): JsonObject {
  return {
    credentialId: assertion.credentialId,
    clientDataJSON: encodeBase64url(assertion.clientDataJSON),
    authenticatorData: encodeBase64url(assertion.authenticatorData),
    signature: encodeBase64url(assertion.signature),
  };
}

/** One envelope has one spelling, so that its digest names it. */
function parseCanonical(bytes: Uint8Array, maxBytes: number): JsonObject {
  const object = parseJsonObject(bytes, { maxBytes });
  if (!canonicalBytes(object).equals(bytes)) throw malformed("canonical JSON");
  return object;
}

/** RFC 4648 §4, in its one spelling: DSSE's examples and tools use this alphabet. */
function decodeBase64(text: string): Buffer {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") !== text) throw malformed("base64");
  return bytes;
}

// DSSE protocol v1: PAE(type, payload).
function preAuthEncoding(payload: Buffer): Buffer {
  const head = `DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.length} `;
  return Buffer.concat([Buffer.from(head, "utf8"), payload]);
}

function digestOf({ bytes }: OpenedStatement): string {
  return hash("sha256", bytes, "hex");
}

function malformed(expected: string): PresenceError {
  return new PresenceError("ERR_PRESENCE_ENVELOPE", `Envelope is malformed: expected ${expected}`);
}

import { MemberReader } from "@redoubt/base";
import type { WitnessedQuestion } from "@redoubt/tlog";
import { decodeBase64url } from "@redoubt/verify/base64url";
import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import type { AudienceCount, PageQuery } from "../coverage/coverage.ts";
import type { DeliveryReport } from "../deliveries/deliveries.ts";
import { monitorError } from "../errors.ts";
import type { ForwardOrder } from "../witness/recovery.ts";

const MAX_DIGESTS = 4096;
const DIGEST_CHARS = 43;
const DIGEST_BYTES = 32;
/** RFC 4648 §3.5: the last character carries four bits, and the two below them are zero. */
const DIGEST = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
const MAX_LOST = 1_000_000;
const MAX_AUDIENCES = 256;
/** docs/spec/logs.md §4: of a tenant's audience. */
const MAX_AUDIENCE_CHARS = 512;
const MAX_ALARMS = 1000;
const MAX_DETAIL_CHARS = 1024;
const ORIGIN = /^[!-~]+$/;
/** At least 128 bits. */
const NONCE = /^[A-Za-z0-9_-]{22,64}$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/** docs/spec/wire.md §5 `delivered`: everything but the caller is the issuer's word. */
export function parseDelivered(caller: string, head: JsonObject): DeliveryReport {
  const reader = new MemberReader(head, "delivered");
  const report = {
    caller,
    realm: caller.slice(caller.indexOf("-") + 1),
    session: reader.string("session", 64, /^[A-Za-z0-9_-]+$/),
    seq: reader.integer("seq", 0, Number.MAX_SAFE_INTEGER),
    digests: parseDigests(reader.strings("digests", MAX_DIGESTS, DIGEST_CHARS)),
    lost: reader.optionalInteger("lost", 0, MAX_LOST) ?? 0,
    forgotten: reader.optionalInteger("forgotten", 0, MAX_LOST) ?? 0,
    audiences: reader.has("audiences")
      ? reader.array("audiences", MAX_AUDIENCES).map(parseAudienceCount)
      : [],
    isResumed: reader.has("resumed") && reader.boolean("resumed"),
    isClosing: reader.has("closing") && reader.boolean("closing"),
  };
  reader.done();
  return report;
}

function parseAudienceCount(value: JsonValue): AudienceCount {
  if (!isJsonObject(value))
    throw monitorError("ERR_MONITOR_OP", "delivered: audiences must be objects");
  const reader = new MemberReader(value, "delivered audience");
  const count = {
    audience: reader.string("audience", MAX_AUDIENCE_CHARS),
    count: reader.integer("count", 1, MAX_DIGESTS),
  };
  reader.done();
  return count;
}

/** A question about the sums from one time on. */
export function parseCoverage(head: JsonObject): PageQuery {
  const reader = new MemberReader(head, "coverage");
  const page = {
    since: reader.integer("since", 0, Number.MAX_SAFE_INTEGER),
    from: reader.integer("from", 0, Number.MAX_SAFE_INTEGER),
  };
  reader.done();
  return page;
}

export function parseFind(head: JsonObject): Buffer {
  const reader = new MemberReader(head, "find");
  const digests = parseDigests(reader.strings("digests", MAX_DIGESTS, DIGEST_CHARS));
  reader.done();
  return digests;
}

export interface Refusal {
  readonly code: string;
  readonly caller: string;
  readonly detail: string;
}

export function parseRefusal(head: JsonObject): Refusal {
  const reader = new MemberReader(head, "refusal");
  const refusal = {
    code: reader.string("code", 64, NAME),
    caller: reader.string("caller", 64, NAME),
    detail: parseDetail(reader),
  };
  reader.done();
  return refusal;
}

export interface SenderEvent {
  readonly kind: string;
  readonly detail: string;
  /** A state that was told before has ended. */
  readonly isOver: boolean;
}

export function parseEvent(head: JsonObject): SenderEvent {
  const reader = new MemberReader(head, "event");
  const event = {
    kind: reader.string("kind", 64, NAME),
    detail: parseDetail(reader),
    isOver: reader.has("over") && reader.boolean("over"),
  };
  reader.done();
  return event;
}

export function parseWitnessed(head: JsonObject): WitnessedQuestion {
  const reader = new MemberReader(head, "witnessed");
  const question = {
    log: reader.string("log", 256, ORIGIN),
    nonce: reader.string("nonce", 64, NONCE),
  };
  reader.done();
  return question;
}

export function parseForward(head: JsonObject): ForwardOrder {
  const reader = new MemberReader(head, "witness-forward");
  const bytes = (name: string, maxBytes: number): Buffer =>
    decodeBase64url(reader.string(name, Math.ceil((maxBytes * 4) / 3)), { maxBytes });
  const order = {
    statement: bytes("statement", 4096),
    envelope: bytes("envelope", 1024),
    note: reader.string("note", 8192),
    proof: reader
      .strings("proof", 64, DIGEST_CHARS)
      .map((text) => decodeBase64url(text, { bytes: DIGEST_BYTES })),
  };
  reader.done();
  return order;
}

export function parsePage(head: JsonObject): { readonly from: number; readonly max: number } {
  const reader = new MemberReader(head, "registry");
  const page = {
    from: reader.integer("from", 0, Number.MAX_SAFE_INTEGER),
    max: reader.integer("max", 1, 512),
  };
  reader.done();
  return page;
}

export function parseAlarmQuery(head: JsonObject): {
  readonly since?: number;
  readonly digest?: string;
  readonly limit: number;
} {
  const reader = new MemberReader(head, "alarms");
  const since = reader.optionalInteger("since", 0, Number.MAX_SAFE_INTEGER);
  const digest = reader.optionalString("digest", DIGEST_CHARS);
  const limit = reader.optionalInteger("limit", 1, MAX_ALARMS) ?? 100;
  reader.done();
  return { ...(since !== undefined && { since }), ...(digest !== undefined && { digest }), limit };
}

export function parseClose(head: JsonObject): {
  readonly alarm: number;
  readonly digest?: string;
  readonly reason: string;
} {
  const reader = new MemberReader(head, "close");
  const alarm = reader.integer("alarm", 1, Number.MAX_SAFE_INTEGER);
  const digest = reader.optionalString("digest", DIGEST_CHARS);
  const reason = reader.string("reason", 512);
  reader.done();
  return { alarm, ...(digest !== undefined && { digest }), reason };
}

function parseDigests(texts: readonly string[]): Buffer {
  const digests = Buffer.alloc(texts.length * DIGEST_BYTES);
  for (const [i, text] of texts.entries()) {
    if (!DIGEST.test(text))
      throw monitorError("ERR_MONITOR_OP", "Digests must be SHA-256 in base64url");
    digests.write(text, i * DIGEST_BYTES, DIGEST_BYTES, "base64url");
  }
  return digests;
}

/** The sender's own words, cut where they are long; absent is empty. */
function parseDetail(reader: MemberReader): string {
  if (!reader.has("detail")) return "";
  return reader.string("detail", MAX_DETAIL_CHARS);
}

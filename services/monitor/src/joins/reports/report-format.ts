import { sign, type KeyObject } from "node:crypto";
import { canonicalBytes, errorCode, isJsonObject, MemberReader, ServiceError } from "@redoubt/base";
import type { ReportedCounts } from "../coverage/coverage.ts";
import { REPORT_LIMITS } from "@redoubt/verify";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject, type JsonValue } from "@redoubt/verify/json";
import type { StoredAck } from "./report-store.ts";

/** docs/spec/reports.md §1. */
export interface ReportItem {
  readonly digest: Buffer;
  readonly kid: string;
  readonly at: number;
  readonly count: number;
  readonly audience: string | undefined;
  /** Seconds since the epoch. */
  readonly issuedAt: number | undefined;
}

/** An item that cannot be judged. */
export interface RefusedItem {
  readonly index: number;
  /** If it could be read. */
  readonly digest?: Buffer;
  readonly code: string;
}

/** Each item is answered for itself: one that nobody can read must not hide the others. */
export interface Items<Item> {
  readonly items: readonly Item[];
  readonly refused: readonly RefusedItem[];
}

export interface Report extends Items<ReportItem> {
  readonly session: string;
  readonly seq: number;
  /** The session's goodbye: nothing more is to be expected of it. */
  readonly isClosing: boolean;
  readonly counts: ReportedCounts | undefined;
}

/** docs/spec/reports.md §2. */
export interface EvidenceItem {
  readonly digest: Buffer;
  readonly kid: string;
  readonly signature: Buffer;
  readonly signingInput?: string;
}

export const MAX_REPORT_BYTES: number = REPORT_LIMITS.bodyBytes;
// What a verifier accepts can be judged: these limits are the verifier's own.
const { kidChars, signatureBytes, signingInputChars, audienceChars, issuerChars, countRows } =
  REPORT_LIMITS;
const MAX_CODES = 100;
const CODE = /^ERR_[A-Z0-9_]{1,60}$/;
const SDK = /^[A-Za-z0-9._+-]+\/[A-Za-z0-9._+-]+$/;
const MAX_SECONDS = 2 ** 40;
const SESSION = /^[A-Za-z0-9_-]{22}$/;
const DIGEST_CHARS = 43;

/** @throws ServiceError or an error of the JSON and base64url readers, all coded */
export function parseReport(body: Uint8Array): Report {
  const reader = new MemberReader(parseJsonObject(body, { maxBytes: MAX_REPORT_BYTES }), "report");
  reader.integer("v", 1, 1);
  const session = reader.string("session", 22, SESSION);
  const seq = reader.integer("seq", 0, Number.MAX_SAFE_INTEGER);
  const items = reader.array("items", REPORT_LIMITS.reportItems);
  const isClosing = reader.has("closing") && reader.boolean("closing");
  const counts = reader.has("counts") ? parseCounts(reader.object("counts")) : undefined;
  reader.done();
  return { session, seq, isClosing, counts, ...itemsOf(items, parseItem) };
}

export function parseEvidence(body: Uint8Array): Items<EvidenceItem> {
  const object = parseJsonObject(body, { maxBytes: MAX_REPORT_BYTES });
  const reader = new MemberReader(object, "evidence");
  reader.integer("v", 1, 1);
  const items = reader.array("items", REPORT_LIMITS.evidenceItems);
  reader.done();
  return itemsOf(items, parseEvidenceItem);
}

function itemsOf<Item>(
  values: readonly JsonValue[],
  parse: (value: JsonValue) => Item,
): Items<Item> {
  const items: Item[] = [];
  const refused: RefusedItem[] = [];
  for (const [index, value] of values.entries())
    try {
      items.push(parse(value));
    } catch (error) {
      const digest = digestIn(value);
      refused.push({ index, ...(digest && { digest }), code: errorCode(error) });
    }
  return { items, refused };
}

/** The digest alone is enough to look for: whatever is wrong beside it hides no miss. */
function digestIn(value: JsonValue): Buffer | undefined {
  try {
    return isJsonObject(value) ? digestOf(new MemberReader(value, "item")) : undefined;
  } catch {
    return undefined;
  }
}

function parseItem(value: JsonValue): ReportItem {
  const reader = readerOf(value, "report item");
  const item = {
    digest: digestOf(reader),
    kid: reader.string("kid", kidChars),
    at: reader.integer("at", 0, MAX_SECONDS),
    count: reader.integer("count", 1, Number.MAX_SAFE_INTEGER),
    audience: reader.optionalString("aud", audienceChars),
    issuedAt: reader.optionalInteger("iat", 0, MAX_SECONDS),
  };
  reader.done();
  return item;
}

function parseCounts(reader: MemberReader): ReportedCounts {
  const from = reader.integer("from", 0, MAX_SECONDS);
  const sdk = reader.string("sdk", 64, SDK);
  const rows = reader.array("rows", countRows);
  reader.done();
  return { from, sdk, rows: rows.flatMap(parseCountRow) };
}

/** One row for what was accepted, and one for each reason of refusal. */
function parseCountRow(value: JsonValue): ReportedCounts["rows"] {
  const reader = readerOf(value, "report counts");
  const issuer = reader.optionalString("issuer", issuerChars) ?? null;
  const kind = reader.string("kind", 8, /^[a-z]+$/);
  const accepted = reader.integer("accepted", 0, Number.MAX_SAFE_INTEGER);
  const refused = Object.entries(reader.rawObject("refused"));
  reader.done();
  if (refused.length > MAX_CODES) throw badCounts();
  const rows = refused.map(([outcome, count]) => {
    if (!CODE.test(outcome) || !isCount(count)) throw badCounts();
    return { issuer, kind, outcome, count };
  });
  return accepted === 0 ? rows : [{ issuer, kind, outcome: null, count: accepted }, ...rows];
}

function isCount(value: JsonValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

function badCounts(): Error {
  return new ServiceError("ERR_REQUEST_MEMBER", "report counts: refused must count by code");
}

function parseEvidenceItem(value: JsonValue): EvidenceItem {
  const reader = readerOf(value, "evidence item");
  const digest = digestOf(reader);
  const kid = reader.string("kid", kidChars);
  const text = reader.string("signature", signatureBytes * 2);
  const signature = decodeBase64url(text, { maxBytes: signatureBytes });
  const signingInput = reader.optionalString("signingInput", signingInputChars);
  reader.done();
  return { digest, kid, signature, ...(signingInput !== undefined && { signingInput }) };
}

function readerOf(value: JsonValue, what: string): MemberReader {
  if (isJsonObject(value)) return new MemberReader(value, what);
  throw new ServiceError("ERR_REQUEST_MEMBER", `${what}: must be an object`);
}

function digestOf(reader: MemberReader): Buffer {
  return decodeBase64url(reader.string("digest", DIGEST_CHARS), { bytes: 32 });
}

export interface Ack {
  readonly v: 1;
  readonly reporter: string;
  readonly session: string;
  readonly seq: number;
  readonly at: number;
  readonly items: number;
  readonly sha256: string;
  /** P4: how long ago the monitor saw all that the logs hold. What it has not read since it cannot miss. */
  readonly auditAgeSeconds: number;
}

const ACK_CONTEXT = "redoubt/ack/v1\n";

/** docs/spec/reports.md §1: what lets a verifier drop its items. To be made only of what is durable. */
export function signAck(
  reporter: string,
  session: string,
  told: StoredAck & Pick<Ack, "auditAgeSeconds">,
  key: KeyObject,
): { readonly ack: Ack; readonly sig: string } {
  const { seq, at, items, sha256, auditAgeSeconds } = told;
  const ack = { v: 1, reporter, session, seq, at, items, sha256, auditAgeSeconds } as const;
  const signed = Buffer.concat([Buffer.from(ACK_CONTEXT, "utf8"), canonicalBytes(ack)]);
  return { ack, sig: encodeBase64url(sign(null, signed, key)) };
}

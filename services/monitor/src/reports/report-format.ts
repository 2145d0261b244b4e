import { isJsonObject, MemberReader, ServiceError } from "@redoubt/base";
import { decodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject, type JsonValue } from "@redoubt/verify/json";

/** docs/spec/reports.md §1. */
export interface ReportItem {
  readonly digest: Buffer;
  readonly kid: string;
  readonly at: number;
  readonly count: number;
}

export interface Report {
  readonly session: string;
  readonly seq: number;
  readonly items: readonly ReportItem[];
}

/** docs/spec/reports.md §2. */
export interface EvidenceItem {
  readonly digest: Buffer;
  readonly kid: string;
  readonly signature: Buffer;
  readonly signingInput?: string;
}

export const MAX_REPORT_BYTES: number = 256 * 1024;
const MAX_REPORT_ITEMS = 1000;
const MAX_EVIDENCE_ITEMS = 256;
const MAX_KID_CHARS = 256;
const MAX_SIGNATURE_BYTES = 1024;
const MAX_SIGNING_INPUT_CHARS = 32_768;
const MAX_SECONDS = 2 ** 40;
const SESSION = /^[A-Za-z0-9_-]{22}$/;
const DIGEST_CHARS = 43;

/** @throws ServiceError or an error of the JSON and base64url readers, all coded */
export function parseReport(body: Uint8Array): Report {
  const reader = new MemberReader(parseJsonObject(body, { maxBytes: MAX_REPORT_BYTES }), "report");
  reader.integer("v", 1, 1);
  const session = reader.string("session", 22, SESSION);
  const seq = reader.integer("seq", 0, Number.MAX_SAFE_INTEGER);
  const items = reader.array("items", MAX_REPORT_ITEMS).map(parseItem);
  reader.done();
  return { session, seq, items };
}

export function parseEvidence(body: Uint8Array): readonly EvidenceItem[] {
  const object = parseJsonObject(body, { maxBytes: MAX_REPORT_BYTES });
  const reader = new MemberReader(object, "evidence");
  reader.integer("v", 1, 1);
  const items = reader.array("items", MAX_EVIDENCE_ITEMS).map(parseEvidenceItem);
  reader.done();
  return items;
}

function parseItem(value: JsonValue): ReportItem {
  const reader = readerOf(value, "report item");
  const item = {
    digest: digestOf(reader),
    kid: reader.string("kid", MAX_KID_CHARS),
    at: reader.integer("at", 0, MAX_SECONDS),
    count: reader.integer("count", 1, Number.MAX_SAFE_INTEGER),
  };
  reader.done();
  return item;
}

function parseEvidenceItem(value: JsonValue): EvidenceItem {
  const reader = readerOf(value, "evidence item");
  const digest = digestOf(reader);
  const kid = reader.string("kid", MAX_KID_CHARS);
  const text = reader.string("signature", MAX_SIGNATURE_BYTES * 2);
  const signature = decodeBase64url(text, { maxBytes: MAX_SIGNATURE_BYTES });
  const signingInput = reader.optionalString("signingInput", MAX_SIGNING_INPUT_CHARS);
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

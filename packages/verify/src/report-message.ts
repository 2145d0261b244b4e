import { hash } from "node:crypto";
import { canonicalJson } from "./canonical.ts";
import { Base64urlError, decodeBase64url } from "./base64url.ts";
import { isJsonObject, JsonError, parseJsonObject, type JsonObject } from "./json.ts";
import type { PinnedKey } from "./pinned-key.ts";
import type { Counts } from "./report-counts.ts";

/** docs/spec/reports.md §1. */
export interface ReportItem {
  readonly digest: string;
  readonly kid: string;
  readonly at: number;
  count: number;
  readonly aud?: string;
  readonly iat?: number;
}

/** A report as it was first sent; it is sent again with the same bytes until it is acknowledged. */
export interface SealedReport {
  readonly seq: number;
  readonly items: readonly ReportItem[];
  /** The goodbye of this session. */
  readonly isClosing: boolean;
  readonly counts?: Counts | undefined;
  readonly body: Buffer;
}

/** What a signed answer says of a report: each of its items was taken, but for those in `refused`. */
export interface Acknowledged {
  /** Digests of items that the monitor cannot take, and will not take when they come again. */
  readonly refused: readonly string[];
  readonly evidenceWanted: readonly string[];
  /** How long ago the monitor had read every log to its end. */
  readonly auditAgeSeconds: number;
}

/**
 * Digests of items that the monitor cannot take; with `status`, the HTTP status with which it refused the whole report.
 */
export interface SetAside {
  readonly digests: readonly string[];
  readonly status?: number;
}

const ACK_CONTEXT = "redoubt/ack/v1\n";
const MAX_WANTED = 1000;

export function sealReport(
  session: string,
  seq: number,
  { items, isClosing, counts }: Pick<SealedReport, "items" | "isClosing" | "counts">,
): SealedReport {
  // JSON leaves out what is undefined.
  const report = { v: 1, session, seq, items, closing: isClosing || undefined, counts };
  return { seq, items, isClosing, counts, body: Buffer.from(JSON.stringify(report), "utf8") };
}

/**
 * Reads the answer to a report. Undefined if the monitor did not acknowledge exactly this report, or does not account
 * for each of its items: then nothing may be forgotten (P4, THREAT-31).
 */
export function readAcknowledgement(
  body: Uint8Array,
  report: SealedReport,
  expected: { readonly reporter: string; readonly session: string; readonly ackKey: PinnedKey },
): Acknowledged | undefined {
  const answer = readObject(body);
  const sent = report.items.map(({ digest }) => digest);
  const refused = readRefused(answer?.["refused"], sent);
  const ack = answer?.["ack"];
  const signature = answer === undefined ? undefined : readSignature(answer);
  if (!isJsonObject(ack) || signature === undefined || refused === undefined) return undefined;
  const isExpected =
    ack["v"] === 1 &&
    ack["reporter"] === expected.reporter &&
    ack["session"] === expected.session &&
    ack["seq"] === report.seq &&
    // The number of items that were taken is signed; `refused`, which is not, must name all others.
    ack["items"] === report.items.length - refused.length &&
    ack["sha256"] === hash("sha256", report.body, "base64url");
  const { auditAgeSeconds } = ack;
  if (!isExpected || typeof auditAgeSeconds !== "number" || !(auditAgeSeconds >= 0))
    return undefined;
  const signed = Buffer.from(ACK_CONTEXT + canonicalJson(ack), "utf8");
  if (!expected.ackKey.hasSigned(signed, signature)) return undefined;
  return { refused, evidenceWanted: readWanted(answer?.["evidenceWanted"]), auditAgeSeconds };
}

/** Digests of evidence that the monitor cannot take; an answer that says nothing of that took all. */
export function readEvidenceAnswer(body: Uint8Array, sent: readonly string[]): readonly string[] {
  return readRefused(readObject(body)?.["refused"], sent) ?? [];
}

/** The digests that `refused` names; undefined if an entry names no item that was sent, or two name the same. */
function readRefused(value: unknown, sent: readonly string[]): readonly string[] | undefined {
  if (value === undefined) return [];
  if (!Array.isArray(value)) return undefined;
  const digests = new Set<string>();
  for (const item of value) {
    const index: unknown = isJsonObject(item) ? item["index"] : undefined;
    const digest = typeof index === "number" ? sent[index] : undefined;
    if (digest === undefined) return undefined;
    digests.add(digest);
  }
  return digests.size === value.length ? [...digests] : undefined;
}

function readObject(body: Uint8Array): JsonObject | undefined {
  try {
    return parseJsonObject(body);
  } catch (error) {
    // Not an acknowledgement; the caller counts it and tries again.
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}

function readSignature(answer: JsonObject): Buffer | undefined {
  const { sig } = answer;
  try {
    return typeof sig === "string" ? decodeBase64url(sig, { bytes: 64 }) : undefined;
  } catch (error) {
    // As above: not an acknowledgement.
    if (error instanceof Base64urlError) return undefined;
    throw error;
  }
}

function readWanted(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, MAX_WANTED).filter((item) => typeof item === "string");
}

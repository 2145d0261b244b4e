import { hash } from "node:crypto";
import { canonicalJson } from "./canonical.ts";
import { Base64urlError, decodeBase64url } from "./base64url.ts";
import { isJsonObject, JsonError, parseJsonObject, type JsonObject } from "./json.ts";
import type { PinnedKey } from "./pinned-key.ts";

/** docs/spec/reports.md §1. */
export interface ReportItem {
  readonly digest: string;
  readonly kid: string;
  readonly at: number;
  count: number;
}

/** A report as it was first sent; it is sent again with the same bytes until it is acknowledged. */
export interface SealedReport {
  readonly seq: number;
  readonly items: readonly ReportItem[];
  readonly body: Buffer;
}

const ACK_CONTEXT = "redoubt/ack/v1\n";
const MAX_WANTED = 1000;

export function sealReport(
  session: string,
  seq: number,
  items: readonly ReportItem[],
): SealedReport {
  return { seq, items, body: Buffer.from(JSON.stringify({ v: 1, session, seq, items }), "utf8") };
}

/**
 * Reads the answer to a report. Returns the digests for which evidence is wanted, or undefined if the monitor did
 * not acknowledge exactly this report: then nothing may be forgotten (P4, THREAT-31).
 */
export function readAcknowledgement(
  body: Uint8Array,
  report: SealedReport,
  expected: { readonly reporter: string; readonly session: string; readonly ackKey: PinnedKey },
): readonly string[] | undefined {
  const answer = readObject(body);
  const ack = answer?.["ack"];
  const signature = answer === undefined ? undefined : readSignature(answer);
  if (!isJsonObject(ack) || signature === undefined) return undefined;
  const isExpected =
    ack["v"] === 1 &&
    ack["reporter"] === expected.reporter &&
    ack["session"] === expected.session &&
    ack["seq"] === report.seq &&
    ack["items"] === report.items.length &&
    ack["sha256"] === hash("sha256", report.body, "base64url");
  if (!isExpected) return undefined;
  const signed = Buffer.from(ACK_CONTEXT + canonicalJson(ack), "utf8");
  if (!expected.ackKey.hasSigned(signed, signature)) return undefined;
  return readWanted(answer?.["evidenceWanted"]);
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

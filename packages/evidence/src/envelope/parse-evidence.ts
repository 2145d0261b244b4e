import { type JsonValue, parseJson } from "@redoubt/verify/json";
import type { AzureQuote } from "../azure/verify-azure.ts";
import { EvidenceError } from "../evidence-error.ts";
import type { Evidence, TpmQuoteEvidence, WithLog } from "./evidence.ts";
import { CollateralReader } from "../tdx/collateral-reader.ts";
import { readTdxCollateral, type TdxCollateral } from "../tdx/collateral.ts";
import { MemberReader } from "./member-reader.ts";

/** Collateral and event logs are the largest parts. */
const MAX_BYTES = 1_048_576;
const MAX_DEPTH = 8;
const MAX_CERTIFICATES = 8;
const PCR_INDEX = /^(?:\d|1\d|2[0-3])$/;

/**
 * Reads an envelope: `{"v":1,"platform":…}` and the members of that platform, bytes in base64url. What has to be checked
 * hangs on the platform alone; there is no version or member with which a client could ask for less.
 *
 * @throws EvidenceError `ERR_EVIDENCE_FORMAT`, `ERR_EVIDENCE_UNSUPPORTED`
 */
export function parseEvidence(text: string | Uint8Array): Evidence {
  const reader = new MemberReader(parse(text), "evidence");
  const version = reader.take("v");
  if (version !== 1) throw unsupported("v");
  const evidence = parseMembers(reader);
  reader.end();
  return evidence;
}

function parse(text: string | Uint8Array): JsonValue {
  try {
    return parseJson(text, { maxBytes: MAX_BYTES, maxDepth: MAX_DEPTH });
  } catch (cause) {
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", "Evidence: not JSON", {
      part: "evidence",
      cause,
    });
  }
}

function parseMembers(reader: MemberReader): Evidence {
  const platform = reader.text("platform");
  switch (platform) {
    case "snp":
      return {
        platform,
        report: reader.bytes("report"),
        chain: reader.bytesList("chain", MAX_CERTIFICATES),
      };
    case "tdx":
      return {
        platform,
        quote: reader.bytes("quote"),
        collateral: parseCollateral(reader),
        eventLog: reader.optionalBytes("eventLog"),
      };
    case "az-tdx":
      return {
        platform,
        hclReport: reader.bytes("hclReport"),
        quote: reader.bytes("quote"),
        collateral: parseCollateral(reader),
        vtpm: ended(reader.object("vtpm"), parseQuoteMembers),
        ...parseLogs(reader),
      };
    case "nitro":
      return { platform, document: reader.bytes("document") };
    case "az-snp":
      return {
        platform,
        hclReport: reader.bytes("hclReport"),
        chain: reader.bytesList("chain", MAX_CERTIFICATES),
        vtpm: ended(reader.object("vtpm"), parseQuoteMembers),
        ...parseLogs(reader),
      };
    case "tpm2":
    case "swtpm":
    case "soft":
      return {
        platform,
        tpm: ended(reader.object("tpm"), parseTpm),
        ...parseLogs(reader),
      };
    default:
      throw unsupported("platform");
  }
}

function ended<T>(reader: MemberReader, parseIt: (reader: MemberReader) => T): T {
  const value = parseIt(reader);
  reader.end();
  return value;
}

function parseCollateral(reader: MemberReader): TdxCollateral {
  return readTdxCollateral(new CollateralReader(reader.take("collateral"), "collateral"));
}

function parseLogs(reader: MemberReader): WithLog {
  return {
    eventLog: reader.optionalBytes("eventLog"),
    userspaceLog: reader.optionalBytes("userspaceLog"),
  };
}

function parseTpm(reader: MemberReader): TpmQuoteEvidence {
  return { ...parseQuoteMembers(reader), akPublic: reader.bytes("akPublic") };
}

function parseQuoteMembers(reader: MemberReader): AzureQuote & { readonly signature: Buffer } {
  return {
    quote: reader.bytes("quote"),
    signature: reader.bytes("signature"),
    pcrs: ended(reader.object("pcrs"), parsePcrs),
  };
}

function parsePcrs(reader: MemberReader): ReadonlyMap<number, Buffer> {
  const known = reader.names().filter((name) => PCR_INDEX.test(name));
  return new Map(known.map((name) => [Number(name), reader.bytes(name)]));
}

function unsupported(member: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", `Evidence: unknown ${member}`, {
    part: `evidence.${member}`,
  });
}

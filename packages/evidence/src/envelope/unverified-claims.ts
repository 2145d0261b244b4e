import { parseHclReport } from "../azure/hcl-report.ts";
import { parseRuntimeData } from "../azure/runtime-data.ts";
import { azureClaims } from "../azure/verify-azure.ts";
import type { Claims, ClaimValue } from "../claims.ts";
import { parseUnverifiedNitro } from "../nitro.ts";
import { parseSnpReport } from "../snp/report.ts";
import { parsePublicArea } from "../tpm/public-area.ts";
import { parseQuote } from "../tpm/quote.ts";
import { parseTdxQuote } from "../tdx/quote.ts";
import type { EventLog } from "../event-log/event-log.ts";
import { describeEvent } from "../event-log/explain.ts";
import type { Evidence } from "./evidence.ts";
import type { RecognisedEvidence } from "./recognise-evidence.ts";

/**
 * What evidence says of itself, for a person who looks into it. Nothing of it is verified: whoever made the bytes chose
 * every value.
 *
 * @throws EvidenceError
 */
export function unverifiedClaims(recognised: RecognisedEvidence): Claims {
  switch (recognised.kind) {
    case "snp-report":
      return { platform: "snp", report: snp(recognised.report) };
    case "hcl-report":
      return hcl(recognised.report);
    case "tdx-quote":
      return { platform: "tdx", ...tdx(recognised.quote) };
    case "event-log":
      return { events: eventRows(recognised.log) };
    case "evidence":
      return { platform: recognised.evidence.platform, ...ofEvidence(recognised.evidence) };
  }
}

function ofEvidence(evidence: Evidence): Claims {
  switch (evidence.platform) {
    case "snp":
      return { report: snp(evidence.report) };
    case "nitro": {
      const { certificates, ...document } = parseUnverifiedNitro(evidence.document);
      return { document: plain(document), certificates: certificates.length };
    }
    case "az-snp":
      return {
        ...hcl(evidence.hclReport),
        quote: plain(parseQuote(evidence.vtpm.quote)),
        pcrs: plain(evidence.vtpm.pcrs),
      };
    case "tdx":
      return tdx(evidence.quote);
    case "az-tdx":
      return {
        ...hcl(evidence.hclReport),
        ...tdx(evidence.quote),
        "tpm-quote": plain(parseQuote(evidence.vtpm.quote)),
        pcrs: plain(evidence.vtpm.pcrs),
      };
    case "tpm2":
    case "swtpm":
    case "soft":
      return {
        quote: plain(parseQuote(evidence.tpm.quote)),
        pcrs: plain(evidence.tpm.pcrs),
        "ak-name": parsePublicArea(evidence.tpm.akPublic).name.toString("hex"),
      };
  }
}

function hcl(bytes: Buffer): Claims {
  const { type, hardwareReport, runtimeData } = parseHclReport(bytes);
  return {
    platform: `az-${type}`,
    ...(type === "snp" ? { report: snp(hardwareReport) } : {}),
    azure: azureClaims(parseRuntimeData(runtimeData)),
  };
}

function tdx(bytes: Buffer): Claims {
  const { version, body } = parseTdxQuote(bytes);
  return { "quote-version": version, quote: plain(body) };
}

/** Register, type and what was said of it; the data of an event need not be what was measured. */
function eventRows({ events }: EventLog): Claims {
  return Object.fromEntries(
    events.map((event, i) => [String(i), `${event.register} ${describeEvent(event)}`]),
  );
}

function snp(bytes: Buffer): ClaimValue {
  const { signed: _signed, ...report } = parseSnpReport(bytes);
  return plain(report);
}

/** Bytes as hexadecimal, maps as objects; what is undefined is left out. */
function plain(value: unknown): ClaimValue {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (value instanceof Map) return plain(Object.fromEntries(value));
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Object)
    return Object.fromEntries(
      Object.entries(value).flatMap(([name, one]) =>
        one === undefined ? [] : [[name, plain(one)]],
      ),
    );
  return typeof value === "number" || typeof value === "boolean" ? value : String(value);
}

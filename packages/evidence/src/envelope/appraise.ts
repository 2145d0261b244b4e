import { azureClaims, verifyAzureSnp, verifyAzureTdx } from "../azure/verify-azure.ts";
import type { PinnedRoots } from "../certificate-chain.ts";
import type { Claims } from "../claims.ts";
import { EvidenceError } from "../evidence-error.ts";
import type { NitroDocument } from "../nitro-document.ts";
import { verifyNitro } from "../nitro.ts";
import { reportDataFor } from "../report-data.ts";
import { snpClaims } from "../snp/snp-claims.ts";
import { type SnpRoots, verifySnp } from "../snp/verify-snp.ts";
import { tdxClaims } from "../tdx/tdx-claims.ts";
import { type VerifiedTdx, verifyTdx } from "../tdx/verify-tdx.ts";
import type { PcrSelection } from "../tpm/pcr-selection.ts";
import { parseQuote } from "../tpm/quote.ts";
import { type QuoteDemand, type VerifiedQuote, verifyQuote } from "../tpm/verify-quote.ts";
import { logClaims } from "../event-log/log-claims.ts";
import { parseEventLog } from "../event-log/parse-event-log.ts";
import { checkReplay } from "../event-log/replay.ts";
import { appendUserspaceLog } from "../event-log/userspace-log.ts";
import type { Evidence, Platform, TpmPlatform, WithLog } from "./evidence.ts";

export interface AppraisalOptions {
  /** Milliseconds since 1970. Of archived evidence: when it was logged. */
  readonly now: number;
  /**
   * The bytes that the machine was to bind, at most 64: report data (filled up with zeros), a TPM's qualifying data, an
   * enclave's nonce. Null takes any, and so evidence that is old or was made for somebody else.
   */
  readonly expected: Uint8Array | null;
  /** PCRs that a quote must be over, exactly. Default: SHA-256, 0 to 7, 9 and 11. */
  readonly pcrs?: PcrSelection;
  /** What enrolment found behind an attestation key, by its TPM name (hexadecimal). Others are refused. */
  readonly enrolledKeys?: ReadonlyMap<string, TpmPlatform>;
  /** Lowest `tcbEvaluationDataNumber` of Intel's collateral; remember the highest that was seen. */
  readonly minEvaluation?: number;
  /** For tests and private hierarchies; default are the vendors' roots. */
  readonly roots?: {
    readonly snp?: SnpRoots;
    readonly nitro?: PinnedRoots;
    readonly tdx?: PinnedRoots;
  };
}

/** Evidence that is genuine. Whether it is good enough is for `checkPolicy` to say. */
export interface Appraisal {
  readonly platform: Platform;
  /** Stated by `EVIDENCE_AUTHORITY`. */
  readonly claims: Claims;
}

export const DEFAULT_PCRS: PcrSelection = {
  bank: "sha256",
  indices: [0, 1, 2, 3, 4, 5, 6, 7, 9, 11],
};

const SIMULATED: ReadonlySet<Platform> = new Set(["swtpm", "soft"]);

/**
 * Verifies evidence of any platform offline, up to pinned roots, and tells what it proves.
 *
 * @throws EvidenceError; RangeError for options that make no sense
 */
export function appraise(evidence: Evidence, options: AppraisalOptions): Appraisal {
  const { platform } = evidence;
  const common = { platform, hardware: !SIMULATED.has(platform) };
  return { platform, claims: { ...common, ...claimsOf(evidence, options) } };
}

function claimsOf(evidence: Evidence, options: AppraisalOptions): Claims {
  const { now, expected, minEvaluation, roots = {} } = options;
  switch (evidence.platform) {
    case "snp": {
      const reportData = reportDataFor(expected);
      return { snp: snpClaims(verifySnp(evidence, { now, reportData, roots: roots.snp })) };
    }
    case "tdx": {
      const reportData = reportDataFor(expected);
      const verified = verifyTdx(evidence, { now, reportData, minEvaluation, roots: roots.tdx });
      return { tdx: tdxClaims(verified), ...ccelClaims(verified, evidence.eventLog) };
    }
    case "az-tdx": {
      const quote = demandOf(evidence.vtpm.quote, options);
      const verified = verifyAzureTdx(evidence, {
        now,
        quote,
        userData: null,
        minEvaluation,
        roots: roots.tdx,
      });
      const { tdx, runtime } = verified;
      return {
        tdx: tdxClaims(tdx),
        azure: azureClaims(runtime),
        ...tpmClaims(verified.quote, evidence),
      };
    }
    case "nitro": {
      const bound = { nonce: expected, userData: null, publicKey: null };
      return {
        nitro: nitroClaims(
          verifyNitro(evidence.document, { now, expected: bound, roots: roots.nitro }),
        ),
      };
    }
    case "az-snp": {
      const quote = demandOf(evidence.vtpm.quote, options);
      const verified = verifyAzureSnp(evidence, { now, quote, userData: null, roots: roots.snp });
      const { snp, runtime } = verified;
      return {
        snp: snpClaims(snp),
        azure: azureClaims(runtime),
        ...tpmClaims(verified.quote, evidence),
      };
    }
    case "tpm2":
    case "swtpm":
    case "soft": {
      const { akPublic, ...quote } = evidence.tpm;
      const verified = verifyQuote(
        { ...quote, ak: { publicArea: akPublic } },
        demandOf(quote.quote, options),
      );
      checkEnrolled(verified, evidence.platform, options.enrolledKeys);
      return tpmClaims(verified, evidence);
    }
  }
}

function demandOf(
  quote: Uint8Array,
  { pcrs = DEFAULT_PCRS, expected }: AppraisalOptions,
): QuoteDemand {
  if (expected !== null) return { selection: pcrs, qualifyingData: expected };
  const { extraData } = parseQuote(quote);
  if (extraData.length === 0)
    throw new EvidenceError("ERR_EVIDENCE_BINDING", "The quote is over no data at all", {
      part: "quote.extraData",
    });
  return { selection: pcrs, qualifyingData: extraData };
}

/**
 * A quote says nothing about what holds the key: a program can sign as a TPM would. Enrolment found out (certificate of
 * the endorsement key, and a credential that only this TPM could open); what the evidence calls itself counts for nothing.
 */
function checkEnrolled(
  { akName }: VerifiedQuote,
  platform: TpmPlatform,
  enrolled: ReadonlyMap<string, TpmPlatform> = new Map(),
): void {
  const name = akName?.toString("hex") ?? "";
  const found = enrolled.get(name);
  if (found === platform) return;
  throw new EvidenceError(
    "ERR_EVIDENCE_KEY",
    "The attestation key is not enrolled for this platform",
    {
      part: "tpm.akPublic",
      found: found ?? `${name}, not enrolled`,
      expected: platform,
    },
  );
}

function tpmClaims(verified: VerifiedQuote, logs: WithLog): Claims {
  const { pcrs, akName, bank, resetCount, restartCount, safe } = verified;
  return {
    tpm: {
      bank,
      "reset-count": resetCount,
      "restart-count": restartCount,
      "clock-safe": safe,
      ...(akName === undefined ? {} : { "ak-name": akName.toString("hex") }),
    },
    pcrs: pcrClaims(pcrs),
    ...eventLogClaims(verified, logs),
  };
}

/** A log that comes along must lead to the PCRs; where there is none, a policy that asks for its claims refuses. */
function eventLogClaims(
  { pcrs, bank }: VerifiedQuote,
  { eventLog, userspaceLog }: WithLog,
): Claims {
  if (eventLog === undefined) return {};
  const firmware = parseEventLog(eventLog, "tcg2");
  const log = userspaceLog === undefined ? firmware : appendUserspaceLog(firmware, userspaceLog);
  return { "event-log": logClaims(checkReplay(log, pcrs, bank)) };
}

/** The registers of a TD are numbered from 1 in a CCEL table. */
function ccelClaims({ quote }: VerifiedTdx, eventLog: Buffer | undefined): Claims {
  if (eventLog === undefined) return {};
  const values = new Map(quote.body.rtmrs.map((value, i) => [i + 1, value]));
  return { "event-log": logClaims(checkReplay(parseEventLog(eventLog, "ccel"), values, "sha384")) };
}

function pcrClaims(pcrs: ReadonlyMap<number, Buffer>): Claims {
  return Object.fromEntries(
    [...pcrs].map(([index, value]) => [String(index), value.toString("hex")]),
  );
}

function nitroClaims({
  moduleId,
  timestamp,
  pcrs,
  debug,
  publicKey,
  userData,
  nonce,
}: NitroDocument): Claims {
  const optional = { "public-key": publicKey, "user-data": userData, nonce };
  return {
    "module-id": moduleId,
    timestamp,
    "is-debuggable": debug,
    pcrs: pcrClaims(pcrs),
    ...Object.fromEntries(
      Object.entries(optional).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, value.toString("hex")]],
      ),
    ),
  };
}

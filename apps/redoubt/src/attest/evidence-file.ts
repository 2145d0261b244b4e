import {
  decodePemChain,
  type Evidence,
  EvidenceError,
  parseTdxCollateral,
  recogniseEvidence,
  type RecognisedEvidence,
} from "@redoubt/evidence";
import { type CommandContext, fileArgument, optionError } from "../command.ts";
import { readInput } from "../input.ts";

const MAX_EVIDENCE_BYTES = 1_048_576;
const MAX_CHAIN_BYTES = 65_536;
const MAX_CERTIFICATES = 8;

/** @throws EvidenceError for bytes of no kind that is known */
export function readRecognised(context: CommandContext, file: string): RecognisedEvidence {
  return recogniseEvidence(readInput(fileArgument(context, file), MAX_EVIDENCE_BYTES));
}

export interface Beside {
  readonly chain?: readonly string[];
  readonly collateral?: string;
}

/** Evidence that can be verified: an envelope, or one platform's own bytes with what they need beside them. */
export function readEvidence(context: CommandContext, file: string, beside: Beside): Evidence {
  const { chain = [], collateral } = beside;
  const recognised = readRecognised(context, file);
  if (chain.length > 0 && recognised.kind !== "snp-report")
    throw optionError("--chain is for a bare SNP report");
  if (collateral !== undefined && recognised.kind !== "tdx-quote")
    throw optionError("--collateral is for a bare TDX quote");
  switch (recognised.kind) {
    case "evidence":
      return recognised.evidence;
    case "snp-report":
      return { platform: "snp", report: recognised.report, chain: readChain(context, chain) };
    case "tdx-quote":
      return {
        platform: "tdx",
        quote: recognised.quote,
        collateral: readCollateral(context, collateral),
        eventLog: undefined,
      };
    case "hcl-report":
      throw optionError(
        "An HCL report alone proves nothing about now: put it, its certificates and a quote of the virtual TPM into an envelope",
      );
    case "event-log":
      throw optionError(
        "An event log proves nothing by itself: put it beside the quote that it leads to",
      );
  }
}

function readChain(context: CommandContext, chain: readonly string[]): readonly Buffer[] {
  if (chain.length === 0)
    throw optionError(
      "Name --chain: VCEK or VLEK, ASK and ARK, in this order; several files are joined",
    );
  return chain.flatMap((name) => readCertificates(context, name));
}

function readCollateral(context: CommandContext, name: string | undefined) {
  if (name === undefined)
    throw optionError(
      "Name --collateral: TCB info, QE identity and CRLs, as a PCCS client writes them",
    );
  return parseTdxCollateral(readInput(fileArgument(context, name), MAX_EVIDENCE_BYTES));
}

/** PEM with one or more certificates, or one in DER. */
function readCertificates(context: CommandContext, name: string): readonly Buffer[] {
  const bytes = readInput(fileArgument(context, name), MAX_CHAIN_BYTES);
  if (bytes[0] === 0x30) return [bytes];
  try {
    return decodePemChain(bytes.toString("latin1"), {
      maxCertificates: MAX_CERTIFICATES,
      what: "chain",
    });
  } catch (cause) {
    if (!(cause instanceof EvidenceError)) throw cause;
    throw optionError(`${name} is neither PEM nor DER`);
  }
}

import {
  decodePemChain,
  type Evidence,
  EvidenceError,
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

/** Evidence that can be verified: an envelope, or one platform's own bytes with what they need beside them. */
export function readEvidence(
  context: CommandContext,
  file: string,
  { chain = [] }: { readonly chain?: readonly string[] },
): Evidence {
  const recognised = readRecognised(context, file);
  if (recognised.kind === "evidence") {
    if (chain.length > 0) throw optionError("--chain is for a bare SNP report");
    return recognised.evidence;
  }
  if (recognised.kind === "hcl-report")
    throw optionError(
      "An HCL report alone proves nothing about now: put it, its certificates and a quote of the virtual TPM into an envelope",
    );
  if (chain.length === 0)
    throw optionError(
      "Name --chain: VCEK or VLEK, ASK and ARK, in this order; several files are joined",
    );
  const certificates = chain.flatMap((name) => readCertificates(context, name));
  return { platform: "snp", report: recognised.report, chain: certificates };
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

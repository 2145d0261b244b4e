import {
  appraise,
  type AppraisalOptions,
  type Claims,
  checkPolicy,
  EVIDENCE_AUTHORITY,
  EvidenceError,
  type Evidence,
  type Policy,
  type Refusal,
} from "@redoubt/evidence";
import { type CommandContext, EXIT, optionError } from "../command.ts";
import { printable, table } from "../table.ts";
import { claimRows } from "./claim-rows.ts";
import { type Beside, readEvidence } from "./evidence-file.ts";
import { parseEnrolled } from "./enrolled.ts";
import { readPolicy, readReferences, type ReferenceOptions } from "./references.ts";

export interface AttestVerifyOptions extends ReferenceOptions, Beside {
  readonly policy?: string;
  readonly expect?: string;
  readonly anyData?: boolean;
  readonly minEvaluation?: number;
  readonly at?: string;
  readonly pcrs?: string;
  readonly enrolled?: readonly string[];
}

export interface Refused {
  readonly valid: false;
  readonly code: string;
  readonly message: string;
  readonly part?: string | undefined;
  readonly claims?: Claims;
  readonly refusals: readonly Refusal[];
}

type Verdict = Refused | { readonly valid: true; readonly claims: Claims };

export async function attestVerify(
  context: CommandContext,
  file: string,
  options: AttestVerifyOptions,
): Promise<number> {
  if (options.policy === undefined)
    throw optionError("Name --policy with the file that says what the machine must prove");
  const now = parseTime(options.at);
  const appraisal = { now, ...parseAppraisal(options) };
  const references = readReferences(context, options, now);
  const policy = readPolicy(context, options.policy, references);
  const verdict = decide(() => readEvidence(context, file, options), appraisal, policy);
  context.terminal.result({ json: verdict, text: verdictText(verdict) });
  return verdict.valid ? EXIT.ok : EXIT.refused;
}

function decide(read: () => Evidence, options: AppraisalOptions, policy: Policy): Verdict {
  let claims: Claims | undefined;
  try {
    ({ claims } = appraise(read(), options));
    checkPolicy(policy, [{ authority: EVIDENCE_AUTHORITY, claims }], options);
    return { valid: true, claims };
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    const { code, message, part, refusals } = error;
    const genuine = claims === undefined ? {} : { claims };
    return { valid: false, code, message, part, ...genuine, refusals };
  }
}

function verdictText(verdict: Verdict): string {
  if (verdict.valid)
    return `accepted: the evidence is genuine, and the policy is satisfied\n\n${table(claimRows(verdict.claims))}`;
  return refusalText(verdict);
}

export function refusalText({ code, message, refusals }: Refused): string {
  if (refusals.length === 0) return `refused: ${printable(message)} (${code})`;
  const rows = refusals.map(({ claim, found, expected }) => [claim, found, expected]);
  const hints = refusals.flatMap(({ claim, hint }) =>
    hint === undefined ? [] : [`${claim}: ${hint}`],
  );
  return [
    "refused: the evidence is genuine, but not what the policy asks for",
    table([["CLAIM", "FOUND", "EXPECTED"], ...rows]),
    ...(hints.length === 0 ? [] : [hints.map(printable).join("\n")]),
  ].join("\n\n");
}

function parseTime(at: string | undefined): number {
  if (at === undefined) return Date.now();
  const time = Date.parse(at);
  if (Number.isNaN(time)) throw optionError("--at is a time like 2026-06-01T12:00:00Z");
  return time;
}

function parseAppraisal({
  expect,
  anyData = false,
  pcrs,
  enrolled = [],
  minEvaluation = 0,
}: AttestVerifyOptions): Omit<AppraisalOptions, "now"> {
  if ((expect === undefined) !== anyData)
    throw optionError(
      "Name --expect with the bytes that the machine was to bind (hexadecimal), or --any-data for old evidence",
    );
  const expected = expect === undefined ? null : parseHex(expect);
  const enrolledKeys = new Map(enrolled.map(parseEnrolled));
  return {
    expected,
    enrolledKeys,
    minEvaluation,
    ...(pcrs === undefined ? {} : { pcrs: parsePcrs(pcrs) }),
  };
}

function parseHex(text: string): Buffer {
  if (!/^(?:[0-9a-f]{2}){1,64}$/i.test(text))
    throw optionError("--expect is 1 to 64 bytes in hexadecimal");
  return Buffer.from(text, "hex");
}

function parsePcrs(text: string): { readonly bank: "sha256"; readonly indices: readonly number[] } {
  const indices = /^\d+(?:,\d+)*$/.test(text) ? text.split(",").map(Number) : [];
  const isAscending = indices.every((index, i) => index < 24 && index > (indices[i - 1] ?? -1));
  if (indices.length === 0 || !isAscending)
    throw optionError("--pcrs is a list like 0,4,7,11, ascending, each at most 23");
  return { bank: "sha256", indices };
}

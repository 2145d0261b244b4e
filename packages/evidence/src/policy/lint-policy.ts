import {
  EVIDENCE_AUTHORITY,
  type Policy,
  type PolicyAuthority,
  type PolicyCondition,
  type PolicyLeaf,
} from "./policy.ts";

/** What is wrong with a policy that is to guard production. */
export interface PolicyProblem {
  /** `anyOf[0]`: which of the policy's alternatives. */
  readonly part: string;
  readonly problem: string;
  readonly remedy: string;
}

/** What every way through a condition is known to demand. */
type Demand = "measurement" | "not-debuggable" | "secure-boot" | "hardware" | "tpm2" | "no-milan";

const MEASUREMENTS: ReadonlySet<string> = new Set([
  "snp.measurement",
  "tdx.mrtd",
  "nitro.pcrs.0",
  // Not PCR 11: it is zero until a loader measures, so that a system which another loader started can fill it.
  "pcrs.4",
  "event-log.boot-applications",
  "x-ms-sevsnpvm-launchmeasurement",
  "x-ms-isolation-tee.x-ms-sevsnpvm-launchmeasurement",
]);
const DEBUG_CLAIMS: ReadonlySet<string> = new Set([
  "snp.is-debuggable",
  "tdx.is-debuggable",
  "nitro.is-debuggable",
  "x-ms-sevsnpvm-is-debuggable",
  "x-ms-isolation-tee.x-ms-sevsnpvm-is-debuggable",
  "x-ms-isolation-tee.tdx_td_attributes_debug",
]);
const SECURE_BOOT_CLAIMS: ReadonlySet<string> = new Set(["event-log.secure-boot"]);
/** Platforms without hardware of their own behind them. */
const SIMULATED: ReadonlySet<unknown> = new Set(["soft", "swtpm"]);

/**
 * Names what a production policy lacks: each way through it must pin a measurement, refuse debugging, and refuse
 * simulated hardware; Milan passes only for a limited time. Empty for a policy that has all of it.
 */
export function lintPolicy(policy: Policy): readonly PolicyProblem[] {
  return policy.anyOf.flatMap((candidate, i) => lintAuthority(candidate, `anyOf[${i}]`));
}

function lintAuthority({ authority, condition }: PolicyAuthority, part: string): PolicyProblem[] {
  const demands = demandsOf(condition);
  const isOurs = authority === EVIDENCE_AUTHORITY;
  const isTpm = demands.has("tpm2");
  const problems: [boolean, string, string][] = [
    [
      demands.has("measurement"),
      "no measurement: any image passes",
      "compare a measurement (snp.measurement, tdx.mrtd, pcrs.4, nitro.pcrs.0) by `reference`, `in` or `equals`",
    ],
    [
      isTpm ? demands.has("secure-boot") : demands.has("not-debuggable"),
      isTpm ? "a TPM without Secure Boot: any loader passes" : "a debugger is not refused",
      isTpm
        ? "demand event-log.secure-boot equals true"
        : "demand <platform>.is-debuggable equals false",
    ],
    [
      !isOurs || demands.has("hardware"),
      "soft or swtpm passes: no hardware vouches for it",
      "demand the platform by `equals` or `in`",
    ],
    [
      !isOurs || demands.has("no-milan") || !mentionsSnp(condition),
      "SEV-SNP on Milan passes without an end: its endorsement key can be extracted by software",
      "demand snp.product in Genoa, Turin; or add Milan in a leaf of its own with `until`",
    ],
  ];
  return problems.flatMap(([isFine, problem, remedy]) =>
    isFine ? [] : [{ part, problem, remedy }],
  );
}

/** All of an `allOf` holds; of an `anyOf` only what each of its ways demands; of a `not` nothing is known. */
function demandsOf(condition: PolicyCondition): ReadonlySet<Demand> {
  if (condition.kind === "not") return new Set();
  if (condition.kind === "claim") return new Set(demandOfLeaf(condition));
  const each = condition.conditions.map(demandsOf);
  const all = new Set(each.flatMap((demands) => [...demands]));
  if (condition.kind === "allOf") return all;
  return new Set([...all].filter((demand) => each.every((demands) => demands.has(demand))));
}

function demandOfLeaf(leaf: PolicyLeaf): Demand[] {
  const { claim } = leaf;
  const values = acceptedBy(leaf);
  if (values === undefined) return [];
  if (MEASUREMENTS.has(claim)) return ["measurement"];
  if (claim === "snp.product")
    return Number.isFinite(leaf.until) || !values.includes("Milan") ? ["no-milan"] : [];
  if (claim === "platform" && values.every((value) => value === "tpm2"))
    return ["hardware", "tpm2"];
  if (claim === "platform" && !values.some((value) => SIMULATED.has(value))) return ["hardware"];
  if (DEBUG_CLAIMS.has(claim) && values.every((value) => value === false))
    return ["not-debuggable"];
  return SECURE_BOOT_CLAIMS.has(claim) && values.every((value) => value === true)
    ? ["secure-boot"]
    : [];
}

/** The values that a leaf lets pass, where it names them. */
function acceptedBy(leaf: PolicyLeaf): readonly unknown[] | undefined {
  if (leaf.operator === "equals") return [leaf.value];
  return leaf.operator === "in" || leaf.operator === "reference" ? leaf.values : undefined;
}

function mentionsSnp(condition: PolicyCondition): boolean {
  if (condition.kind === "claim") return condition.claim.startsWith("snp.");
  return condition.kind === "not"
    ? mentionsSnp(condition.condition)
    : condition.conditions.some(mentionsSnp);
}

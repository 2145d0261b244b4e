import type { Claims, ClaimValue } from "../claims.ts";
import { EvidenceError, type Refusal } from "../evidence-error.ts";
import { hintFor } from "./hints.ts";
import type {
  Policy,
  PolicyAuthority,
  PolicyCondition,
  PolicyLeaf,
  PolicyScalar,
} from "./policy.ts";

/** Claims, and who states them; the caller has verified that this authority does. */
export interface Statement {
  readonly authority: string;
  readonly claims: Claims;
}

export interface PolicyOptions {
  /** Milliseconds since 1970, for `until`. */
  readonly now: number;
}

const MAX_REFUSALS = 50;
const MAX_SHOWN = 200;

/**
 * Holds claims to a policy, and returns the authority that was satisfied.
 *
 * @throws EvidenceError `ERR_EVIDENCE_REFUSED`; `refusals` names each claim, what was found and what was expected
 */
export function checkPolicy(
  policy: Policy,
  statements: readonly Statement[],
  { now }: PolicyOptions,
): PolicyAuthority {
  const refusals: Refusal[] = [];
  for (const candidate of policy.anyOf) {
    const found = appraise(candidate, statements, now);
    if (found.length === 0) return candidate;
    refusals.push(...found);
  }
  const [first] = refusals;
  throw new EvidenceError("ERR_EVIDENCE_REFUSED", `Policy refuses ${first?.claim}`, {
    part: first?.claim,
    found: first?.found,
    expected: first?.expected,
    refusals: refusals.slice(0, MAX_REFUSALS),
  });
}

function appraise(
  { authority, condition }: PolicyAuthority,
  statements: readonly Statement[],
  now: number,
): Refusal[] {
  const statement = statements.find((one) => one.authority === authority);
  if (statement === undefined)
    return [{ claim: "authority", found: "no statement of it", expected: shown(authority) }];
  return refusalsOf(condition, statement.claims, now);
}

/** Empty where the condition holds. */
function refusalsOf(condition: PolicyCondition, claims: Claims, now: number): Refusal[] {
  switch (condition.kind) {
    case "allOf":
      return condition.conditions.flatMap((one) => refusalsOf(one, claims, now));
    case "anyOf": {
      const each = condition.conditions.map((one) => refusalsOf(one, claims, now));
      return each.some((refusals) => refusals.length === 0) ? [] : each.flat();
    }
    case "not":
      return refusalsOfNot(condition.condition, claims, now);
    case "claim":
      return leafHolds(condition, claims, now) ? [] : [refusalOf(condition, claims, now)];
  }
}

/** A claim that is missing makes `not` false, too, or whoever leaves a claim out would pass. */
function refusalsOfNot(condition: PolicyCondition, claims: Claims, now: number): Refusal[] {
  const leaves = leavesOf(condition);
  const missing = leaves.filter(({ claim }) => claimAt(claims, claim) === undefined);
  if (missing.length > 0) return missing.map((leaf) => refusalOf(leaf, claims, now));
  if (refusalsOf(condition, claims, now).length > 0) return [];
  return leaves.map((leaf) => {
    const { expected, ...rest } = refusalOf(leaf, claims, now);
    return { ...rest, expected: `not ${expected}` };
  });
}

function leavesOf(condition: PolicyCondition): PolicyLeaf[] {
  if (condition.kind === "claim") return [condition];
  return condition.kind === "not"
    ? leavesOf(condition.condition)
    : condition.conditions.flatMap(leavesOf);
}

function leafHolds(leaf: PolicyLeaf, claims: Claims, now: number): boolean {
  if (now >= leaf.until) return false;
  const found = claimAt(claims, leaf.claim);
  if (leaf.operator === "exists") return (found !== undefined) === leaf.value;
  return found !== undefined && testHolds(leaf, found);
}

function testHolds(
  leaf: Exclude<PolicyLeaf, { readonly operator: "exists" }>,
  found: ClaimValue,
): boolean {
  switch (leaf.operator) {
    case "equals":
      return found === leaf.value;
    // A list or an object equals no scalar, but that it differs says nothing.
    case "notEquals":
      return typeof found === typeof leaf.value && found !== leaf.value;
    case "less":
      return typeof found === "number" && found < leaf.value;
    case "lessOrEquals":
      return typeof found === "number" && found <= leaf.value;
    case "greater":
      return typeof found === "number" && found > leaf.value;
    case "greaterOrEquals":
      return typeof found === "number" && found >= leaf.value;
    case "noneOf":
      return elementsOf(found).every((one) => isScalar(one) && !leaf.values.includes(one));
    case "in":
    case "reference":
      return isList(found) && found.length === 0
        ? false
        : elementsOf(found).every((one) => isScalar(one) && leaf.values.includes(one));
  }
}

/** A list of claims is tested element by element. An empty one has none that is forbidden, and none that is allowed. */
function elementsOf(found: ClaimValue): readonly ClaimValue[] {
  return isList(found) ? found : [found];
}

function isList(value: ClaimValue): value is readonly ClaimValue[] {
  return Array.isArray(value);
}

function isScalar(value: ClaimValue | undefined): value is PolicyScalar | undefined {
  return typeof value !== "object";
}

/** Own members only: a path never reaches what every object has. */
function claimAt(claims: Claims, path: string): ClaimValue | undefined {
  let value: ClaimValue | undefined = claims;
  for (const name of path.split(".")) {
    if (isScalar(value) || isList(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

function refusalOf(leaf: PolicyLeaf, claims: Claims, now: number): Refusal {
  const value = claimAt(claims, leaf.claim);
  const found = value === undefined ? "missing" : shown(value);
  const isOver = now >= leaf.until;
  const hint = hintFor(leaf.claim);
  return {
    claim: leaf.claim,
    found,
    expected: isOver
      ? `${expectation(leaf)}, only until ${dateText(leaf.until)}`
      : expectation(leaf),
    ...(hint === undefined ? {} : { hint }),
  };
}

function expectation(leaf: PolicyLeaf): string {
  if (leaf.operator === "reference")
    return `a value of ${shown(leaf.name)} (${leaf.values.length} known)`;
  if (leaf.operator === "exists") return leaf.value ? "present" : "absent";
  return `${leaf.operator} ${shown("values" in leaf ? leaf.values : leaf.value)}`;
}

function dateText(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** Claims may hold text of whoever made the evidence: escaped and bounded, it cannot forge a line of a log. */
function shown(value: ClaimValue): string {
  const text = JSON.stringify(value).replaceAll(
    /[^\u0020-\u007e]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
}

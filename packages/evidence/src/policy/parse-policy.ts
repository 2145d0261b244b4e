import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseJsonObject,
} from "@redoubt/verify/json";
import { EvidenceError } from "../evidence-error.ts";
import type {
  NumberOperator,
  Policy,
  PolicyAuthority,
  PolicyCondition,
  PolicyScalar,
  PolicyTest,
  ReferenceSets,
} from "./policy.ts";

const MAX_BYTES = 262_144;
const MAX_DEPTH = 32;
const MAX_CONDITIONS = 2000;

type Version = Policy["version"];

interface Context {
  readonly version: Version;
  readonly references: ReferenceSets;
  conditions: number;
}

const NUMBER_OPERATORS: readonly NumberOperator[] = [
  "less",
  "lessOrEquals",
  "greater",
  "greaterOrEquals",
];

/**
 * Loads a policy. A typing error must never widen it: unknown members and operators, empty lists, values of another type
 * and unknown reference sets are refused here, not skipped at the time of an appraisal.
 *
 * @param references accepted values by the name that `reference` uses
 * @throws EvidenceError `ERR_EVIDENCE_POLICY`; `part` is the path of the member, as `anyOf[0].allOf[2].equals`
 * @example
 * parsePolicy(text, new Map([["signer/pcr11", ["9f…"]]]));
 */
export function parsePolicy(text: string | Uint8Array, references: ReferenceSets): Policy {
  const document = parseDocument(text);
  const { version } = document;
  if (version !== "1.0.0" && version !== "1.1.0")
    throw wrong("version", 'expected "1.0.0" or "1.1.0"');
  refuseOthers(document, ["version", "anyOf"], "policy");
  const context = { version, references, conditions: 0 } satisfies Context;
  const anyOf = list(document["anyOf"], "anyOf").map((value, i) =>
    parseAuthority(object(value, `anyOf[${i}]`), `anyOf[${i}]`, context),
  );
  return { version, anyOf };
}

function parseDocument(text: string | Uint8Array): JsonObject {
  try {
    return parseJsonObject(text, { maxBytes: MAX_BYTES, maxDepth: MAX_DEPTH });
  } catch (cause) {
    throw new EvidenceError("ERR_EVIDENCE_POLICY", "Policy: not JSON", { part: "policy", cause });
  }
}

function parseAuthority(value: JsonObject, part: string, context: Context): PolicyAuthority {
  const { authority, ...rest } = value;
  if (typeof authority !== "string" || authority === "")
    throw wrong(`${part}.authority`, "expected a text");
  const group = groupOf(rest, part, context);
  if (group === undefined) throw wrong(part, "expected anyOf or allOf beside the authority");
  return { authority, condition: group };
}

function parseCondition(value: JsonValue, part: string, context: Context): PolicyCondition {
  context.conditions += 1;
  if (context.conditions > MAX_CONDITIONS)
    throw wrong(part, `more than ${MAX_CONDITIONS} conditions`);
  const condition = object(value, part);
  const group = groupOf(condition, part, context);
  if (group !== undefined) return group;
  const { not } = condition;
  if (not !== undefined && context.version === "1.1.0") {
    refuseOthers(condition, ["not"], part);
    return { kind: "not", condition: parseCondition(not, `${part}.not`, context) };
  }
  return parseLeaf(condition, part, context);
}

/** Microsoft's grammar spells the groups with a small letter, its examples do not; 1.0.0 documents have both. */
function groupOf(value: JsonObject, part: string, context: Context): PolicyCondition | undefined {
  const spellings =
    context.version === "1.0.0" ? ["anyOf", "allOf", "anyof", "allof"] : ["anyOf", "allOf"];
  const name = spellings.find((spelling) => Object.hasOwn(value, spelling));
  if (name === undefined) return undefined;
  refuseOthers(value, [name], part);
  const conditions = list(value[name], `${part}.${name}`).map((one, i) =>
    parseCondition(one, `${part}.${name}[${i}]`, context),
  );
  return { kind: name.toLowerCase() === "anyof" ? "anyOf" : "allOf", conditions };
}

function parseLeaf(value: JsonObject, part: string, context: Context) {
  const { claim, until, ...tests } = value;
  if (typeof claim !== "string" || !/^[^.]+(?:\.[^.]+)*$/.test(claim))
    throw wrong(`${part}.claim`, "expected the path of a claim");
  const [entry, ...others] = Object.entries(tests);
  if (entry === undefined || others.length > 0) throw wrong(part, "expected exactly one operator");
  const [operator, operand] = entry;
  const test = parseTest(operator, operand, `${part}.${operator}`, context);
  const end =
    until === undefined ? Number.POSITIVE_INFINITY : parseUntil(until, `${part}.until`, context);
  return { kind: "claim", claim, until: end, ...test } as const;
}

function parseTest(
  operator: string,
  operand: JsonValue,
  part: string,
  { version, references }: Context,
): PolicyTest {
  if (operator === "equals" || operator === "notEquals")
    return { operator, value: scalar(operand, part) };
  if (operator === "exists") {
    if (typeof operand !== "boolean") throw wrong(part, "expected true or false");
    return { operator, value: operand };
  }
  const comparison = NUMBER_OPERATORS.find((name) => name === operator);
  if (comparison !== undefined) {
    if (typeof operand !== "number") throw wrong(part, "expected a number");
    return { operator: comparison, value: operand };
  }
  if (version === "1.1.0" && (operator === "in" || operator === "noneOf"))
    return { operator, values: list(operand, part).map((one, i) => scalar(one, `${part}[${i}]`)) };
  if (version === "1.1.0" && operator === "reference") {
    // mutate: no set has a name that is no text.
    if (typeof operand !== "string") throw wrong(part, "expected the name of a reference set");
    const values = references.get(operand) ?? [];
    if (values.length === 0) throw wrong(part, "unknown or empty reference set");
    return { operator, name: operand, values };
  }
  throw wrong(part, "unknown operator");
}

const DATE = /^\d{4}-\d{2}-\d{2}$/;

function parseUntil(value: JsonValue, part: string, { version }: Context): number {
  const time = typeof value === "string" && DATE.test(value) ? Date.parse(value) : Number.NaN;
  if (version !== "1.1.0" || Number.isNaN(time))
    throw wrong(part, "expected a date, in version 1.1.0");
  return time;
}

function object(value: JsonValue, part: string): JsonObject {
  if (!isJsonObject(value)) throw wrong(part, "expected an object");
  return value;
}

function list(value: JsonValue | undefined, part: string): readonly JsonValue[] {
  if (!Array.isArray(value) || value.length === 0)
    throw wrong(part, "expected a list that is not empty");
  return value;
}

function scalar(value: JsonValue, part: string): PolicyScalar {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return value;
  throw wrong(part, "expected a text, a number, true or false");
}

function refuseOthers(value: JsonObject, known: readonly string[], part: string): void {
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown !== undefined) throw wrong(`${part}.${unknown}`, "unknown member");
}

function wrong(part: string, problem: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_POLICY", `Policy, ${part}: ${problem}`, { part });
}

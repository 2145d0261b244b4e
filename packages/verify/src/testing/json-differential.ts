import { isDeepStrictEqual } from "node:util";
import { JsonError, parseJson, type JsonValue } from "../json.ts";
import { scanJson } from "../json-scan.ts";
import { referenceParse } from "./json-reference.ts";
import { SeededRandom } from "./random.ts";

const MAX_DEPTH = 8;

// Names that leave or meet a poisoned hidden-class transition in V8 (nodejs/node #63785), and their neighbours.
const NAMES = [
  "iss",
  "sub",
  "x",
  "a",
  "",
  "__proto__",
  "constructor",
  "toString",
  "0",
  "17",
  "é",
  "\u{1f600}",
  String.raw`\\u0`,
  String.raw`\u0069ss`,
  String.raw`i\u0073s`,
  String.raw`\u0078`,
  String.raw`\\`,
  String.raw`\"`,
  String.raw`\/`,
  String.raw`\n`,
  String.raw`\u0`,
  String.raw`__pr\u006fto__`,
];
const SCALARS = [
  "null",
  "true",
  "false",
  "0",
  "-0",
  "1",
  "1.0",
  "-1.5",
  "1e3",
  "1E+2",
  "1e400",
  "01",
  "1.",
  ".5",
  "+1",
  "9007199254740993",
  "1800000000",
  '""',
  '"x"',
  '"é"',
  '"\u{1f600}"',
  String.raw`"\u0069"`,
  String.raw`"\ud83d\ude00"`,
  String.raw`"\ud7ff\ue000"`,
  String.raw`"\udbff\udfff"`,
  String.raw`"\ud800\udc00"`,
  String.raw`"\udc00\udc00"`,
  String.raw`"\ud800\ue000"`,
  String.raw`"\ud83d"`,
  String.raw`"\ude00\ud83d"`,
  String.raw`"\\u0"`,
  String.raw`"\x"`,
  String.raw`"\u12"`,
  '"\t"',
  "nul",
  "NaN",
  '"__proto__"',
  '"',
];
const SPACES = ["", "", "", "", " ", "\n", "\t \r", "\u00a0"];
const JUNK = ["{", "}", "[", "]", ":", ",", '"', "\\", "\u0000", "\ufeff", "\ud800", "1", " "];

/** What a run saw; a run that accepted nothing, or refused nothing, has checked nothing. */
export interface DifferentialResult {
  readonly accepted: number;
  readonly refused: number;
  /** Seeds and texts where the two readers disagree, or where ours threw something else than its own error. */
  readonly differences: readonly string[];
}

/** Holds `parseJson` against the reference reader on `count` generated documents. */
export function compareJsonReaders(count: number, seed: number): DifferentialResult {
  const random = new SeededRandom(seed);
  const differences: string[] = [];
  let accepted = 0;
  for (let i = 0; i < count; i += 1) {
    const text = generateDocument(random);
    const expected = referenceParse(text, MAX_DEPTH);
    const found = readOurs(text);
    // The scanner alone, or the engine's parser would hide what the scanner misses.
    const isScanned = text.isWellFormed() && scans(text);
    if (isScanned !== (expected !== undefined) || !isDeepStrictEqual(found, expected))
      differences.push(`${seed}/${i}: ${JSON.stringify(text)}`);
    if (expected !== undefined) accepted += 1;
  }
  return { accepted, refused: count - accepted, differences };
}

function readOurs(text: string): { value: JsonValue } | string | undefined {
  try {
    return { value: parseJson(text, { maxDepth: MAX_DEPTH }) };
  } catch (error) {
    return error instanceof JsonError ? undefined : `threw ${String(error)}`;
  }
}

function scans(text: string): boolean {
  try {
    scanJson(text, MAX_DEPTH);
    return true;
  } catch (error) {
    if (error instanceof JsonError) return false;
    throw error;
  }
}

function generateDocument(random: SeededRandom): string {
  const text = random.below(8) === 0 ? poison(random) : generateValue(random, 0);
  return random.below(6) === 0 ? mutate(random, text) : text;
}

/** Two members whose second name holds an escape: the shape that prepares the engine's mistake. */
function poison(random: SeededRandom): string {
  return `{"x":1,"${random.pick(NAMES)}":${random.pick(SCALARS)}}`;
}

function generateValue(random: SeededRandom, depth: number): string {
  const kind = random.below(depth > 9 ? 3 : 8);
  if (kind < 3) return random.pick(SCALARS.slice(0, random.below(3) === 0 ? undefined : 7));
  const space = random.pick(SPACES);
  const count = random.below(4);
  const members = Array.from({ length: count }, () => {
    const value = generateValue(random, depth + 1 + random.below(3));
    return kind < 5 ? value : `"${generateName(random)}"${random.pick(SPACES)}:${space}${value}`;
  });
  const body = members.join(`,${space}`);
  return kind < 5 ? `[${space}${body}]` : `{${body}${space}}`;
}

function generateName(random: SeededRandom): string {
  return random.pick(random.below(3) === 0 ? NAMES : NAMES.slice(0, 4));
}

function mutate(random: SeededRandom, text: string): string {
  const at = random.below(text.length + 1);
  const cut = random.below(3);
  return (
    text.slice(0, at) + (random.below(2) === 0 ? random.pick(JUNK) : "") + text.slice(at + cut)
  );
}

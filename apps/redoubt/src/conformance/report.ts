import { EXIT } from "../command.ts";
import { table } from "../table.ts";
import type { Corpus, CorpusClass } from "./corpus.ts";

const VERDICTS = [
  "right",
  "accepted-though-invalid",
  "refused-though-valid",
  "crashed",
  "timed-out",
  "malformed",
  "not-asked",
] as const;
export type Verdict = (typeof VERDICTS)[number];

export interface CaseResult {
  readonly id: number;
  readonly name: string;
  readonly class: string;
  readonly verdict: Verdict;
  readonly error?: string;
}

type Counts = Readonly<Record<Verdict, number>>;

export interface ClassReport extends CorpusClass {
  readonly counts: Counts;
}

export interface Report {
  readonly command: string;
  readonly total: Counts;
  readonly classes: readonly ClassReport[];
  /** Every case that was asked and is not right. */
  readonly wrong: readonly CaseResult[];
}

const NEEDS: Readonly<Record<CorpusClass["needs"], string>> = {
  nothing: "Every verifier",
  "strict-profile": "Stricter than the RFCs",
  "key-scope": "What each key may sign",
};
const HEADING = ["class", "right", "accepted", "refused", "no answer", "not asked", "what"];

export function reportOf(
  command: string,
  { classes }: Corpus,
  results: readonly CaseResult[],
): Report {
  return {
    command,
    total: count(results),
    classes: classes.map((one) => ({
      ...one,
      counts: count(results.filter((result) => result.class === one.name)),
    })),
    wrong: results.filter(({ verdict }) => verdict !== "right" && verdict !== "not-asked"),
  };
}

function count(results: readonly CaseResult[]): Counts {
  const of = (verdict: Verdict) => results.filter((one) => one.verdict === verdict).length;
  return {
    right: of("right"),
    "accepted-though-invalid": of("accepted-though-invalid"),
    "refused-though-valid": of("refused-though-valid"),
    crashed: of("crashed"),
    "timed-out": of("timed-out"),
    malformed: of("malformed"),
    "not-asked": of("not-asked"),
  };
}

function unanswered(counts: Counts): number {
  return counts.crashed + counts["timed-out"] + counts.malformed;
}

/** 3 if an invalid token was accepted; else 2 if a good one was refused, an answer is missing, or nothing was right. */
export function exitCodeOf({ total }: Report): number {
  if (total["accepted-though-invalid"] > 0) return EXIT.refused;
  const isComplete = total.right > 0 && total["refused-though-valid"] + unanswered(total) === 0;
  return isComplete ? EXIT.ok : EXIT.attention;
}

export function reportText({ classes, total, wrong }: Report): string {
  const groups = Object.entries(NEEDS).flatMap(([needs, title]) => [
    [`${title}:`],
    ...classes.filter((one) => one.needs === needs).map(row),
  ]);
  const list = wrong.length > 0 ? `\n\nNot right:\n${table(wrongRows(wrong))}` : "";
  const sum = VERDICTS.filter((verdict) => verdict === "right" || total[verdict] > 0);
  const line = sum.map((verdict) => `${total[verdict]} ${verdict}`).join(", ");
  return `${table([HEADING, ...groups])}${list}\n\n${line}`;
}

/** The corpus has most cases once for each algorithm; here they are one row, with their number. */
function wrongRows(wrong: readonly CaseResult[]): (readonly string[])[] {
  const alike = Map.groupBy(wrong, ({ class: group, verdict, name, error = "" }) =>
    JSON.stringify([group, verdict, name.replace(/^ent-\w+: /, ""), error]),
  );
  return [...alike].map(([key, list]) => [`  ${list.length} x`, ...JSON.parse(key)]);
}

function row({ name, title, counts }: ClassReport): readonly string[] {
  return [
    `  ${name}`,
    ...[
      counts.right,
      counts["accepted-though-invalid"],
      counts["refused-though-valid"],
      unanswered(counts),
      counts["not-asked"],
    ].map(String),
    title,
  ];
}

import { ServiceError } from "@redoubt/base";
import type { CommandContext } from "../command.ts";
import { readCorpus, type Case, type Corpus } from "./corpus.ts";
import {
  exitCodeOf,
  reportOf,
  reportText,
  type CaseResult,
  type Report,
  type Verdict,
} from "./report.ts";
import { VerifierProcess, type Answer, type VerifierCommand } from "./verifier-process.ts";

export interface ConformanceOptions {
  readonly skip?: readonly string[];
  /** Seconds. */
  readonly timeout: number;
}

export async function conformance(
  { typedIn, json, terminal }: CommandContext,
  [command = "", ...args]: readonly string[],
  { skip, timeout }: ConformanceOptions,
): Promise<number> {
  const stderr = json ? "ignore" : "inherit";
  const verifier = { command, args, cwd: typedIn, timeoutMs: timeout * 1000, stderr } as const;
  const { report, exitCode, text } = await judge(verifier, skip);
  terminal.result({ json: report, text });
  return exitCode;
}

interface Outcome {
  readonly report: Report;
  readonly text: string;
  readonly exitCode: number;
}

/**
 * Asks a verifier the whole corpus. `skip` leaves out classes by name, or by what they need (`strict-profile`,
 * `key-scope`).
 *
 * @throws ServiceError `ERR_CORPUS_CLASS` for another word, `ERR_VERIFIER_COMMAND` if it cannot be started
 */
export async function judge(
  command: VerifierCommand,
  skip: readonly string[] = [],
): Promise<Outcome> {
  const corpus = readCorpus();
  const results = await runConformance(corpus, command, skippedClasses(corpus, skip));
  const report = reportOf([command.command, ...command.args].join(" "), corpus, results);
  return { report, text: reportText(report), exitCode: exitCodeOf(report) };
}

function skippedClasses({ classes }: Corpus, skip: readonly string[]): ReadonlySet<string> {
  const found = skip.flatMap((word) => {
    const names = classes.filter(({ name, needs }) => name === word || needs === word);
    if (names.length > 0) return names;
    const known = [...classes.map(({ name }) => name), "strict-profile", "key-scope"].join(", ");
    throw new ServiceError(
      "ERR_CORPUS_CLASS",
      `Class ${JSON.stringify(word)}: expected one of ${known}`,
    );
  });
  return new Set(found.map(({ name }) => name));
}

/** After so many cases in a row without an answer the rest is not asked. */
const MAX_FAILURES_IN_A_ROW = 20;

/** Asks a verifier every case of the corpus but those of the classes in `skip`. */
export async function runConformance(
  corpus: Corpus,
  command: VerifierCommand,
  skip: ReadonlySet<string> = new Set(),
): Promise<readonly CaseResult[]> {
  const results: CaseResult[] = [];
  let verifier: VerifierProcess | undefined;
  let failures = 0;
  try {
    for (const one of corpus.cases) {
      const isAsked = failures < MAX_FAILURES_IN_A_ROW && !skip.has(one.class);
      if (isAsked && verifier?.isRunning !== true) verifier = await VerifierProcess.start(command);
      const answer = isAsked ? await verifier?.ask(one) : undefined;
      if (answer !== undefined) failures = isAnswer(answer) ? 0 : failures + 1;
      results.push(resultOf(one, answer));
    }
  } finally {
    verifier?.kill();
  }
  return results;
}

function isAnswer({ kind }: Answer): boolean {
  return kind === "accepted" || kind === "refused";
}

function resultOf({ id, name, class: group, isValid }: Case, answer?: Answer): CaseResult {
  const { kind, ...said } = answer ?? { kind: "not-asked" };
  return { id, name, class: group, verdict: verdictOf(kind, isValid), ...said };
}

function verdictOf(kind: Answer["kind"] | "not-asked", isValid: boolean): Verdict {
  if (kind === "accepted") return isValid ? "right" : "accepted-though-invalid";
  if (kind === "refused") return isValid ? "refused-though-valid" : "right";
  return kind;
}

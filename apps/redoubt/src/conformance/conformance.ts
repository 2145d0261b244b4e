import { ServiceError } from "@redoubt/base";
import { readCorpus, type Corpus } from "./corpus.ts";
import { exitCodeOf, reportOf, reportText, type Report } from "./report.ts";
import { runConformance } from "./run.ts";
import type { VerifierCommand } from "./verifier-process.ts";

interface Outcome {
  readonly report: Report;
  readonly text: string;
  readonly exitCode: number;
}

/** Asks a verifier the whole corpus, without the classes in `skip`: by name, or all that need the same. */
export async function conformance(
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

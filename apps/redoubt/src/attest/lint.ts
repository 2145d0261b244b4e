import { EvidenceError, lintPolicy, type Policy, type PolicyProblem } from "@redoubt/evidence";
import { type CommandContext, EXIT } from "../command.ts";
import { printable } from "../table.ts";
import { readPolicy, readReferences, type ReferenceOptions } from "./references.ts";

/** Exit code 3 for a policy that does not load, or that must not guard production. */
export async function attestLint(
  context: CommandContext,
  file: string,
  options: ReferenceOptions,
): Promise<number> {
  const references = readReferences(context, options, Date.now());
  const problems = lint(() => readPolicy(context, file, references));
  context.terminal.result({
    json: { problems },
    text: problems.length === 0 ? "fit for production" : problems.map(problemText).join("\n"),
  });
  return problems.length === 0 ? EXIT.ok : EXIT.refused;
}

function lint(read: () => Policy): readonly PolicyProblem[] {
  try {
    return lintPolicy(read());
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    const { part = "policy", message } = error;
    const isReference = part.endsWith(".reference");
    const remedy = isReference
      ? "name the file that has the set with --references"
      : "see docs/guide/attestation.md for the grammar";
    return [{ part, problem: message, remedy }];
  }
}

function problemText({ part, problem, remedy }: PolicyProblem): string {
  return printable(`${part}: ${problem}; ${remedy}`);
}

import type { Case, Corpus } from "./corpus.ts";
import { VerifierProcess, type Answer, type VerifierCommand } from "./verifier-process.ts";

/** So many cases one after the other without an answer, and the rest is not asked any more. */
const MAX_FAILURES_IN_A_ROW = 20;

export const VERDICTS = [
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

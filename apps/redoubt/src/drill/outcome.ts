/** One thing that was tried, and what happened to it. */
export interface Outcome {
  readonly threat: string;
  readonly attempt: string;
  /** Who had to stop or notice it. */
  readonly layer: "verifier" | "jwks" | "signer" | "registry" | "audit" | "broker" | "gateway";
  /** Refused, or alarmed: either way it did not pass quietly. */
  readonly stopped: boolean;
  readonly alarmed?: boolean;
  /** The refusal's code or the alarm's kind; `accepted` for a control. */
  readonly code: string;
  /** A control is legitimate and must be accepted: without it a refusal proves nothing. */
  readonly control?: true;
  readonly seconds?: number;
}

/** Whether an outcome is what a sound system shows. */
export function isGood(outcome: Outcome): boolean {
  return outcome.control === true ? !outcome.stopped : outcome.stopped;
}

export function outcomeLine(outcome: Outcome): string {
  const { threat, layer, code } = outcome;
  const verdict = isGood(outcome) ? "ok  " : "FAIL";
  const what = outcome.control ? "accepted" : outcome.alarmed ? "alarmed" : "stopped";
  return `${verdict} ${threat.padEnd(9)} ${layer.padEnd(8)} ${what.padEnd(8)} ${code.padEnd(28)} ${outcome.attempt}`;
}

/** Does what an attacker would; an error is the refusal, and its code is shown. */
export async function attempt(
  what: Pick<Outcome, "threat" | "attempt" | "layer">,
  act: () => unknown,
): Promise<Outcome> {
  try {
    await act();
    return { ...what, stopped: false, code: "accepted" };
  } catch (error) {
    return { ...what, stopped: true, code: codeOf(error) };
  }
}

/** As `attempt`, for a legitimate act, which must be accepted. */
export async function control(
  what: Pick<Outcome, "threat" | "attempt" | "layer">,
  act: () => unknown,
): Promise<Outcome> {
  return { ...(await attempt(what, act)), control: true };
}

function codeOf(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "ERR_UNEXPECTED";
  const part = "part" in error && typeof error.part === "string" ? `/${error.part}` : "";
  return `${String(error.code)}${part}`;
}

import type { SeenAlarm } from "./alarm-book.ts";
import type { ClockResult } from "./clock-steps.ts";
import type { SoakResult } from "./soak.ts";

/** P4. */
export const BLIND_LIMIT_SECONDS = 60;

/** What a run under faults found that must not be; nothing when it kept the promise. */
export function violationsOf(result: SoakResult): readonly string[] {
  const { blind, verifierBlind } = result;
  return [
    ...commonViolations(result),
    ...[blind, verifierBlind]
      .filter(({ seconds }) => seconds > BLIND_LIMIT_SECONDS)
      .map(({ seconds, during }) => `blind for ${seconds} s: ${during}`),
  ];
}

/** The same for clocks that step. */
export function clockViolationsOf(result: ClockResult): readonly string[] {
  return commonViolations(result);
}

function commonViolations(result: ClockResult): readonly string[] {
  const { lost, notBack, verifier } = result;
  const isNothing = result.rounds === 0 || result.tokens === 0 || verifier.acknowledged === 0;
  return [
    ...(isNothing ? ["nothing was tried, taken or reported"] : []),
    ...(lost.length > 0 ? [`${lost.length} tokens are in no log`] : []),
    ...notBack,
    ...result.falseCritical.map((alarm) => `false critical: ${alarmText(alarm)}`),
    ...result.notices.map((alarm) => `alarm in ordinary life: ${alarmText(alarm)}`),
    ...result.open.map((alarm) => `still open: ${alarmText(alarm)}`),
    ...(result.isSettled ? [] : ["not all is judged, or strangers seem still there"]),
    ...[...new Set(verifier.refusals)].map((code) => `issued tokens refused: ${code}`),
    ...(verifier.dropped > 0 ? [`${verifier.dropped} reports lost`] : []),
  ];
}

export function alarmText({ kind, severity, about, during }: SeenAlarm): string {
  return `${severity} ${kind} (${during}): ${JSON.stringify(about)}`;
}

import type { SeenAlarm } from "./alarm-book.ts";
import type { SoakResult } from "./soak.ts";

/** P4. */
export const BLIND_LIMIT_SECONDS = 60;

/** What a run found that must not be; nothing when it kept the promise. */
export function violationsOf(result: SoakResult): readonly string[] {
  const { lost, blind, verifierBlind, notBack, verifier } = result;
  return [
    ...(result.rounds === 0 || result.tokens === 0 || verifier.acknowledged === 0
      ? ["nothing was tried, taken or reported"]
      : []),
    ...(lost.length > 0 ? [`${lost.length} tokens are in no log`] : []),
    ...notBack,
    ...[blind, verifierBlind]
      .filter(({ seconds }) => seconds > BLIND_LIMIT_SECONDS)
      .map(({ seconds, during }) => `blind for ${seconds} s: ${during}`),
    ...result.falseCritical.map((alarm) => `false critical: ${alarmText(alarm)}`),
    ...result.notices.map((alarm) => `alarm in ordinary life: ${alarmText(alarm)}`),
    ...result.open.map((alarm) => `still open: ${alarmText(alarm)}`),
    ...(result.isSettled
      ? []
      : ["what was logged and reported is not all judged, or strangers seem still there"]),
    ...verifier.refusals.map((code) => `issued token refused: ${code}`),
    ...(verifier.dropped > 0 ? [`${verifier.dropped} reports lost`] : []),
  ];
}

export function alarmText({ kind, severity, about, during }: SeenAlarm): string {
  return `${severity} ${kind} (${during}): ${JSON.stringify(about)}`;
}

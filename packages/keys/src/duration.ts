import { KeyError } from "./errors.ts";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
export const DAY_SECONDS: number = 24 * HOUR;
/**
 * A year is 365 days and a month 30, always. By the calendar one policy would mean other lengths on other days, the
 * window in a key's record could not be told from its policy, and an age would not be a fraction of anything fixed.
 */
const UNITS = [365 * DAY_SECONDS, 30 * DAY_SECONDS, DAY_SECONDS, HOUR, MINUTE, 1] as const;
const MAX_DURATION_SECONDS = 10 * 365 * DAY_SECONDS;
const MAX_TEXT = 40;
// ISO 8601-1 §5.5.2: weeks stand alone; no fractions and no signs, which Azure does not take either.
const FORM =
  /^P(?:(\d{1,4})W|(?=\d|T)(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,9})S)?)?)$/;

/**
 * Seconds of an ISO 8601 duration such as `P7D`, `P1Y6M` or `PT6H`: more than none, 10 years at most.
 *
 * @throws KeyError `ERR_ROTATION_POLICY`
 */
export function parseDuration(text: string): number {
  const parts = text.length <= MAX_TEXT ? FORM.exec(text) : null;
  if (!parts) throw refusal("an ISO 8601 duration such as P7D or PT6H");
  const [, weeks, ...others] = parts;
  const seconds =
    weeks === undefined
      ? UNITS.reduce((sum, unit, i) => sum + unit * Number(others[i] ?? 0), 0)
      : Number(weeks) * 7 * DAY_SECONDS;
  if (seconds === 0 || seconds > MAX_DURATION_SECONDS)
    throw refusal("a duration of more than 0 and at most 10 years");
  return seconds;
}

/** The shortest text in days, hours, minutes and seconds: `P10DT6H`. */
export function formatDuration(seconds: number): string {
  const [days, rest] = [Math.floor(seconds / DAY_SECONDS), seconds % DAY_SECONDS];
  const clock = [
    [Math.floor(rest / HOUR), "H"],
    [Math.floor((rest % HOUR) / MINUTE), "M"],
    [rest % MINUTE, "S"],
  ] as const;
  const time = clock.flatMap(([count, unit]) => (count > 0 ? [`${count}${unit}`] : [])).join("");
  if (days === 0 && time === "") return "PT0S";
  return `P${days > 0 ? `${days}D` : ""}${time === "" ? "" : `T${time}`}`;
}

function refusal(expected: string): KeyError {
  return new KeyError("ERR_ROTATION_POLICY", `expected ${expected}`);
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** `18,442,905`. */
export function countText(count: number): string {
  return Number.isFinite(count) ? Math.round(count).toLocaleString("en-US") : "unreadable";
}

/** `6.2 GB`: powers of 1000, as disks are sold. */
export function bytesText(bytes: number): string {
  if (!Number.isFinite(bytes) || bytes < 0) return "unreadable";
  const power = Math.min(Math.floor(Math.log10(Math.max(1, bytes)) / 3), UNITS.length - 1);
  const value = bytes / 1000 ** power;
  return `${value.toFixed(power === 0 || value >= 100 ? 0 : 1)} ${UNITS[power] ?? "B"}`;
}

/** Never rounded up to the whole: 99.99 % is not all. */
export function shareText(part: number, whole: number): string {
  return `${(Math.floor((part / whole) * 1000) / 10).toFixed(1)} %`;
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const TIME = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZone: "UTC",
});

/** `28 Nov`; "?" for what is no date. */
export function dayText(seconds: number): string {
  return dated(seconds, DAY);
}

/** `14:03:27`. */
export function timeText(seconds: number): string {
  return dated(seconds, TIME);
}

function dated(seconds: number, format: Intl.DateTimeFormat): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "?" : format.format(date);
}

/**
 * Text that is safe on a terminal. Much of what commands print was chosen by somebody else (a client's name, an
 * alarm's detail), and a terminal acts on control characters.
 */
export function printable(text: string): string {
  return text.replaceAll(/[^ -~]/gu, "?");
}

/** Rows as columns; the first row is the heading. */
export function table(rows: readonly (readonly string[])[]): string {
  const safe = rows.map((row) => row.map(printable));
  const columns = Math.max(0, ...safe.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...safe.map((row) => row[column]?.length ?? 0)),
  );
  return safe
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

const UNITS = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
] as const;

/** A span as a person says it: `5 s`, `3 min`, `2 h`, `7 d`. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  for (const [unit, length] of UNITS)
    if (whole >= 2 * length) return `${Math.round(whole / length)} ${unit}`;
  return `${whole} s`;
}

export function instant(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "?" : date.toISOString().replace(/\.\d+Z$/, "Z");
}

/** JSON for a person, on a terminal: nothing but printable ASCII. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replaceAll(
    /[^\n -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

export interface CsvRow {
  /** Where it begins; the first line is 1. */
  readonly line: number;
  readonly cells: readonly string[];
}

export interface Csv {
  readonly rows: readonly CsvRow[];
  /** Line of a quote that nothing closes. */
  readonly unclosedAt: number | undefined;
}

/** RFC 4180, with either line end, and without lines on which nothing stands. Never throws. */
export function parseCsv(text: string): Csv {
  const rows: CsvRow[] = [];
  let line = 1;
  let begun = 1;
  let cells: string[] = [];
  const endRow = (): void => {
    if (cells.some((cell) => cell.trim() !== "")) rows.push({ line: begun, cells });
    cells = [];
    begun = line;
  };
  // A cell, quoted or not, and what ends it.
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n][^,\r\n]*)|)[ \t]*(,|\r?\n|$)/y;
  const source = text.replace(/^\uFEFF/, "");
  for (let at = 0; at < source.length;) {
    cell.lastIndex = at;
    const found = cell.exec(source);
    if (!found) return { rows, unclosedAt: line };
    const [whole, quoted, plain = "", end = ""] = found;
    cells.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    line += whole.split("\n").length - 1;
    at = cell.lastIndex;
    if (end !== ",") endRow();
    else if (at === source.length) cells.push("");
  }
  endRow();
  return { rows, unclosedAt: undefined };
}

import { ServiceError } from "@redoubt/base";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { parseCsv } from "./csv.ts";

/** One person of a file. */
export interface ImportRow {
  /** Where the row begins; the first line is 1. */
  readonly line: number;
  readonly userName: string;
  readonly externalId: string | null;
  readonly displayName: string | null;
  readonly givenName: string | null;
  readonly familyName: string | null;
  readonly email: string | null;
  /** Undefined where the file does not say it. */
  readonly active: boolean | undefined;
}

interface Problem {
  readonly line: number;
  readonly what: string;
}

const TEXTS = [
  "userName",
  "externalId",
  "displayName",
  "givenName",
  "familyName",
  "email",
] as const;
const COLUMNS: readonly string[] = [...TEXTS, "active"];
const UNKNOWN = `has an unknown column (known: ${COLUMNS.join(", ")})`;
const MAX_TEXT = 256;
const MAX_ROWS = 5000;
const MAX_SHOWN = 50;

/**
 * CSV with a heading, or JSON lines: the first sign of the file tells.
 *
 * @throws ServiceError `ERR_IMPORT` that lists the problems, each with its line
 */
export function parseImport(text: string): readonly ImportRow[] {
  const problems: Problem[] = [];
  const records = text.trimStart().startsWith("{")
    ? jsonRecords(text, problems)
    : csvRecords(text, problems);
  if (records.length > MAX_ROWS)
    throw new ServiceError("ERR_IMPORT", `More than ${MAX_ROWS} people: split the file`);
  const rows = records.map(({ line, record }) => readRow(line, record, problems));
  findTwice(rows, problems);
  if (problems.length > 0) throw refused(problems);
  if (rows.length === 0) throw new ServiceError("ERR_IMPORT", "The file names nobody");
  return rows;
}

interface Found {
  readonly line: number;
  readonly record: JsonObject;
}

function jsonRecords(text: string, problems: Problem[]): readonly Found[] {
  return text.split("\n").flatMap((source, index) => {
    const line = index + 1;
    if (source.trim() === "") return [];
    try {
      return [{ line, record: parseJsonObject(Buffer.from(source), { maxDepth: 2 }) }];
    } catch {
      problems.push({ line, what: "is no JSON object" });
      return [];
    }
  });
}

function csvRecords(text: string, problems: Problem[]): readonly Found[] {
  const parsed = parseCsv(text);
  if (parsed.unclosedAt !== undefined)
    problems.push({ line: parsed.unclosedAt, what: "has a quote without end" });
  const [heading, ...rows] = parsed.rows;
  if (!heading) return [];
  const names = heading.cells.map((cell) => cell.trim());
  if (new Set(names).size !== names.length)
    problems.push({ line: heading.line, what: "names a column twice" });
  for (const name of names)
    if (!COLUMNS.includes(name)) problems.push({ line: heading.line, what: UNKNOWN });
  const isNamed = names.includes("userName");
  if (!isNamed) problems.push({ line: heading.line, what: "must name the column userName" });
  return rows.flatMap(({ line, cells }) => {
    if (cells.length !== names.length) {
      const what = `has ${cells.length} cells, and the heading ${names.length}`;
      problems.push({ line, what });
      return [];
    }
    const filled = names
      .map((name, at) => [name, cells[at]?.trim() ?? ""] as const)
      .filter(([name]) => COLUMNS.includes(name));
    // An empty cell says nothing.
    return [{ line, record: Object.fromEntries(filled.filter(([, cell]) => cell !== "")) }];
  });
}

function readRow(line: number, record: JsonObject, problems: Problem[]): ImportRow {
  const say = (what: string): void => void problems.push({ line, what });
  for (const name of Object.keys(record)) if (!COLUMNS.includes(name)) say(UNKNOWN);
  const text = (name: (typeof TEXTS)[number]): string | null => {
    const value = record[name];
    if (value === undefined || value === null) return null;
    if (
      typeof value === "string" &&
      value !== "" &&
      value.length <= MAX_TEXT &&
      !/\p{Cc}/u.test(value)
    )
      return value;
    say(`${name} must be a text of 1 to ${MAX_TEXT} visible characters`);
    return null;
  };
  const userName = text("userName");
  if (userName === null) say("has no userName");
  const email = text("email");
  if (email !== null && !/^[^\s@]+@[^\s@]+$/.test(email)) say("email must be an address");
  const names = {
    externalId: text("externalId"),
    displayName: text("displayName"),
    givenName: text("givenName"),
    familyName: text("familyName"),
  };
  return { line, userName: userName ?? "", ...names, email, active: readActive(record, say) };
}

function readActive({ active }: JsonObject, say: (what: string) => void): boolean | undefined {
  if (active === undefined || active === null) return undefined;
  const said = typeof active === "string" ? active.toLowerCase() : active;
  if (said === "true" || said === true) return true;
  if (said === "false" || said === false) return false;
  say("active must be true or false");
  return undefined;
}

/** The later of two lines is the problem. */
function findTwice(rows: readonly ImportRow[], problems: Problem[]): void {
  for (const name of ["userName", "externalId"] as const) {
    const seen = new Map<string, number>();
    for (const row of rows) {
      const value = row[name];
      if (value === null || value === "") continue;
      const key = name === "userName" ? value.normalize("NFKC").toLowerCase() : value;
      const before = seen.get(key);
      if (before === undefined) seen.set(key, row.line);
      else problems.push({ line: row.line, what: `has the ${name} of line ${before}` });
    }
  }
}

function refused(problems: readonly Problem[]): ServiceError {
  const sorted = problems.toSorted((a, b) => a.line - b.line);
  const lines = sorted.slice(0, MAX_SHOWN).map(({ line, what }) => `line ${line} ${what}`);
  const more = sorted.length > MAX_SHOWN ? [`and ${sorted.length - MAX_SHOWN} more`] : [];
  return new ServiceError("ERR_IMPORT", `Nothing was changed: ${[...lines, ...more].join("; ")}`);
}

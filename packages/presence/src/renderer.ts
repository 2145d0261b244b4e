import { hash } from "node:crypto";
import type { Row } from "./actions/action.ts";
import type { ActionName } from "./actions/index.ts";
import { shownLines } from "./shown-text.ts";

/**
 * Names the words and the layout. Old envelopes are read for years, so a renderer never changes: other words are
 * another number, and the old ones stay.
 */
export function rendererOf(action: ActionName): string {
  return `${action}/1`;
}

export interface Rendered {
  readonly title: string;
  readonly rows: readonly Row[];
  readonly realm: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** The lines that a person is shown: a pure function of the statement. */
export function renderLines({
  title,
  rows,
  realm,
  issuedAt,
  expiresAt,
}: Rendered): readonly string[] {
  return Object.freeze([
    title,
    ...rows.flatMap(([label, value]) => shownLines(label, value)),
    ...shownLines("Realm", realm),
    `Asked at: ${utc(issuedAt)}`,
    `Ends at: ${utc(expiresAt)}`,
  ]);
}

/** SHA-256 of the lines, each with a line feed behind it, in UTF-8; base64url. */
export function textHash(lines: readonly string[]): string {
  return hash("sha256", lines.map((line) => `${line}\n`).join(""), "base64url");
}

function utc(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

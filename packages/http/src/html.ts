/** Markup that is safe to send; made by `html` only. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Shown = Html | readonly Html[] | string | number;

/** Markup of our own with values of anybody's: every string is escaped, in text and in quoted attributes. */
export function html(parts: readonly string[], ...values: readonly Shown[]): Html {
  return new Html(parts.map((part, i) => part + markup(values[i] ?? "")).join(""));
}

function markup(value: Shown): string {
  if (value instanceof Html) return value.text;
  if (typeof value === "object") return value.map(({ text }) => text).join("");
  return escapeHtml(String(value));
}

/** A value for a script of ours, to stand in a quoted attribute; whole, for a script can do nothing with a part. */
export function jsonText(value: object): Html {
  return new Html(entities(JSON.stringify(value)));
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const MAX_SHOWN = 1024;

/** Control and format characters go, too: they can turn a line around, or hide a part of it. */
function escapeHtml(text: string): string {
  const shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
  const clean = shown.toWellFormed().replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
  return entities(clean);
}

function entities(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}

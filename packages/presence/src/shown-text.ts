/**
 * Letters that are shown as they are, as ranges of code points. The list is fixed, and no property of Unicode: a newer
 * engine must make the same text of an old statement. Whatever reorders a line, joins, hides or is blank is not in it.
 */
const LETTERS: readonly (readonly [first: number, last: number])[] = [
  [0xc0, 0x24f], // Latin
  [0x386, 0x3ff], // Greek
  [0x400, 0x481], // Cyrillic
  [0x48a, 0x52f],
  [0x5d0, 0x5ea], // Hebrew
  [0x621, 0x63a], // Arabic
  [0x641, 0x64a],
  [0x904, 0x939], // Devanagari with its vowel signs
  [0x93e, 0x94d],
  [0xe01, 0xe3a], // Thai
  [0xe40, 0xe4e],
  [0x10d0, 0x10fa], // Georgian
  [0x3041, 0x3096], // Kana
  [0x30a1, 0x30fa],
  [0x30fc, 0x30fc],
  [0x4e00, 0x9fff], // Han
  [0xac00, 0xd7a3], // Hangul
];

/**
 * One value that somebody else chose, as lines to read. It stands in quotes and ends its line, so that it can pass for
 * no other line, and a script that runs from right to left reorders nothing but itself. Where it is not plain ASCII a
 * second line spells it: a Cyrillic letter that looks like a Latin one shows there.
 */
export function shownLines(label: string, value: string): readonly string[] {
  const characters = Array.from(value);
  const line = `${label}: "${characters.map((one) => shown(one)).join("")}"`;
  if (characters.every((one) => isPlain(one))) return [line];
  return [line, `  spelled "${characters.map((one) => spelled(one)).join("")}"`];
}

function shown(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const isLetter = LETTERS.some(([first, last]) => code >= first && code <= last);
  return isLetter ? character : spelled(character);
}

function spelled(character: string): string {
  if (character === '"' || character === "\\") return `\\${character}`;
  return isPlain(character) ? character : `\\u{${character.codePointAt(0)?.toString(16)}}`;
}

function isPlain(character: string): boolean {
  return character >= " " && character <= "~";
}

import { rootSigners, type RootDocument, type SignedRoot } from "@redoubt/registry";
import type { CommandContext } from "../command.ts";
import { instant, printable, span, table } from "../table.ts";

/** P8 is not there yet: nothing proves that a person was present, and each answer says so. */
export const PRESENCE = { presence: "none" } as const;
export const PRESENCE_TEXT = "presence: none";

/**
 * What a root says, in words, for whoever signs or looks at it. A key counts as signed only if its signature is right.
 */
export function rootText(root: SignedRoot, now: number): string {
  const { document, hash } = root;
  const { kind, version, threshold, keys, made, expires, realms, operator } = document;
  const signers = rootSigners(root, document);
  const keyRows = keys.map((key) => [
    `  ${key.name}`,
    key.publicKey,
    signers.includes(key) ? "signed" : "has not signed",
  ]);
  return [
    `${kind} root, version ${version}: any ${threshold} of ${keys.length} keys speak for it`,
    table(keyRows),
    "It says that these ring keys, and no others, sign the keys of their realms",
    table(realms.map(({ realm, ring }) => [`  ${realm}`, ring])),
    ...(operator === undefined
      ? []
      : ["It says that from here on this is the operator, and nobody else", `  ${operator}`]),
    `made     ${instant(made)}`,
    `expires  ${instant(expires)} (${now < expires ? `in ${span(expires - now)}` : "expired"})`,
    `hash     ${hash}`,
    `signed   by ${signers.length} of the ${threshold} that it needs${rotationText(document)}`,
    ...otherSigners(root).map((key) => `also     by ${key}, which this version does not name`),
  ].join("\n");
}

/** Keys that signed and that this version does not name: the version before may name them, or nobody does. */
function otherSigners({ document, signatures }: SignedRoot): readonly string[] {
  const own = new Set(document.keys.map(({ publicKey }) => publicKey));
  return signatures.map(({ key }) => key).filter((key) => !own.has(key));
}

function rotationText({ version }: RootDocument): string {
  return version === 1 ? "" : `, and it needs the signatures that version ${version - 1} asks for`;
}

/** As JSON: the document, and which of its keys signed. */
export function rootJson(root: SignedRoot) {
  const signed = rootSigners(root, root.document).map(({ name }) => name);
  return { hash: root.hash, ...root.document, signed, alsoSignedBy: otherSigners(root) };
}

/** The lines of a text, safe for a terminal: what comes from a file may hold anything. */
export function lines(text: string): readonly string[] {
  return text.split("\n").map(printable);
}

/** The result of a command whose subject is one root. */
export function told(
  { terminal }: CommandContext,
  root: SignedRoot,
  about: { readonly now: number; readonly file: string; readonly next?: string },
): void {
  const { now, file, next } = about;
  terminal.result({
    json: { file, ...rootJson(root), ...PRESENCE },
    text: [
      `${printable(file)}:`,
      ...lines(rootText(root, now)),
      PRESENCE_TEXT,
      ...(next === undefined ? [] : [next]),
    ].join("\n"),
  });
}

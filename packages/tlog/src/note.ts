import { TlogError } from "./errors.ts";
import type { NoteSigner } from "./note-signer.ts";
import { encodeSignatureLine, MAX_NOTE_SIGNATURES, parseSignatureLines } from "./signature-line.ts";
import type { NoteSignature } from "./signature-line.ts";
import { verifySignature } from "./signature.ts";
import type { VerifiedSignature } from "./signature.ts";
import { readText } from "./text.ts";
import { COSIGNATURE_HEADER } from "./timestamped-signature.ts";
import { SIGNATURE_TYPE } from "./vkey.ts";
import type { VerifierKey } from "./vkey.ts";

export const MAX_NOTE_BYTES: number = 1024 * 1024;

/** The parts of a note. Nothing in it is verified. */
export interface UnverifiedNote {
  /** With its last newline, as it was signed. */
  readonly body: string;
  readonly signatures: readonly NoteSignature[];
}

export interface VerifiedNote {
  readonly body: string;
  /** Every known key that signed, once each, in the order of the note. Never empty. */
  readonly verified: readonly VerifiedSignature[];
  /** How many signature lines the note has, those of unknown keys included. */
  readonly signatureCount: number;
}

/** C2SP signed-note: text, an empty line, signature lines. Throws `ERR_TLOG_NOTE_MALFORMED`. */
export function parseNote(note: string | Uint8Array): UnverifiedNote {
  const text = readText(note, MAX_NOTE_BYTES, "ERR_TLOG_NOTE_MALFORMED");
  // The body may have empty lines: the last one ends it.
  const end = text.lastIndexOf("\n\n");
  if (end === -1) throw malformed("Note has no signatures");
  return { body: text.slice(0, end + 1), signatures: parseSignatureLines(text.slice(end + 2)) };
}

/** Signs a body, which ends in a newline. Cosigners sign with `cosignCheckpoint`. */
export function signNote(body: string, signers: readonly NoteSigner[]): string {
  requireBody(body);
  return encodeNote(
    body,
    signers.map((signer) => signBody(body, signer)),
  );
}

/** The signature line that `signNote` would write under this body, to stand beside those that are there. */
export function signLine(body: string, signer: NoteSigner): string {
  requireBody(body);
  return encodeSignatureLine(signBody(body, signer));
}

function signBody(body: string, signer: NoteSigner): NoteSignature {
  const { name, keyId, type } = signer;
  // C2SP tlog-cosignature: such a signature has a time in it, and stands only under a checkpoint.
  if (type === SIGNATURE_TYPE.cosignature)
    throw new TlogError("ERR_TLOG_COSIGNATURE", "A cosigner does not sign notes as such");
  return { name, keyId, signature: signer.sign(Buffer.from(body)) };
}

/** The note with one more signature line (or several), in place of an earlier one of the same key. Verifies nothing. */
export function addSignature(note: string, line: string): string {
  const { body, signatures } = parseNote(note);
  const added = parseSignatureLines(readText(line, MAX_NOTE_BYTES, "ERR_TLOG_NOTE_MALFORMED"));
  const kept = signatures.filter((old) => !added.some((one) => isSameKey(old, one)));
  return encodeNote(body, [...kept, ...added]);
}

/**
 * Returns the body and the known keys that signed it.
 *
 * C2SP signed-note: signatures of unknown keys are ignored, since anyone can add them. A known key whose
 * signature is wrong rejects the note (`ERR_TLOG_NOTE_SIGNATURE`), and so does a note without any known key
 * (`ERR_TLOG_NOTE_UNKNOWN_KEY`). How many of which keys are enough is the caller's rule.
 */
export function verifyNote(
  note: string | Uint8Array,
  verifiers: readonly VerifierKey[],
): VerifiedNote {
  const { body, signatures } = parseNote(note);
  const verified: VerifiedSignature[] = [];
  for (const signature of signatures) {
    const key = findKey(verifiers, signature);
    if (key === undefined) continue;
    const one = verifySignature(key, body, signature.signature);
    // A line that is there twice must not count twice towards a quorum.
    if (!verified.some((earlier) => isSameKey(earlier, one))) verified.push(one);
  }
  if (verified.length === 0)
    throw new TlogError("ERR_TLOG_NOTE_UNKNOWN_KEY", "Note is not signed by a known key");
  return { body, verified, signatureCount: signatures.length };
}

function findKey(
  verifiers: readonly VerifierKey[],
  signature: NoteSignature,
): VerifierKey | undefined {
  const [key, second] = verifiers.filter((one) => isSameKey(one, signature));
  // 32-bit ids can be made to collide: which key a line means must not depend on the order of a list.
  if (second !== undefined)
    throw new TlogError("ERR_TLOG_VKEY", "Two verifier keys have one name and one key id");
  return key;
}

type KeyLabel = Pick<NoteSignature, "name" | "keyId">;

function isSameKey(a: KeyLabel, b: KeyLabel): boolean {
  return a.keyId === b.keyId && a.name === b.name;
}

function encodeNote(body: string, signatures: readonly NoteSignature[]): string {
  if (signatures.length < 1 || signatures.length > MAX_NOTE_SIGNATURES)
    throw malformed("Note needs 1 to 100 signatures");
  const note = `${body}\n${signatures.map(encodeSignatureLine).join("")}`;
  return readText(note, MAX_NOTE_BYTES, "ERR_TLOG_NOTE_MALFORMED");
}

function requireBody(body: string): void {
  readText(body, MAX_NOTE_BYTES, "ERR_TLOG_NOTE_MALFORMED");
  if (!body.endsWith("\n")) throw malformed("Body of a note ends in a newline");
  // A key that signs both would otherwise give cosignatures for the asking.
  if (body.startsWith(COSIGNATURE_HEADER))
    throw malformed("Body of a note is that of a cosignature");
}

function malformed(problem: string): TlogError {
  return new TlogError("ERR_TLOG_NOTE_MALFORMED", problem);
}

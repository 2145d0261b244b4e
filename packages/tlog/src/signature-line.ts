import { decodeBase64 } from "./base64.ts";
import { TlogError } from "./errors.ts";
import { isKeyName } from "./vkey.ts";

/** A signature that nobody has verified yet. */
export interface NoteSignature {
  readonly name: string;
  readonly keyId: number;
  readonly signature: Buffer;
}

/** C2SP signed-note wants a limit of at least 16. Each one may cost a verification. */
export const MAX_NOTE_SIGNATURES = 100;

const PREFIX = "\u2014 ";
const KEY_ID_BYTES = 4;

/** `— <name> base64(key id ‖ signature)` and a newline. */
export function encodeSignatureLine({ name, keyId, signature }: NoteSignature): string {
  // A name with a newline in it would write lines of its own.
  if (!isKeyName(name) || !isKeyId(keyId) || signature.length === 0)
    throw malformed("Signature is malformed");
  const id = Buffer.alloc(KEY_ID_BYTES);
  id.writeUInt32BE(keyId);
  return `${PREFIX}${name} ${Buffer.concat([id, signature]).toString("base64")}\n`;
}

/** One or more signature lines, each with its newline: the end of a note, or the answer of a witness. */
export function parseSignatureLines(text: string): NoteSignature[] {
  const lines = text.split("\n", MAX_NOTE_SIGNATURES + 2);
  if (lines.length > MAX_NOTE_SIGNATURES + 1) throw malformed("Note has too many signatures");
  if (lines.pop() !== "" || lines.length === 0)
    throw malformed("Signature lines do not end in a newline");
  return lines.map(parseLine);
}

function parseLine(line: string): NoteSignature {
  const [name = "", base64 = "", ...rest] = line.slice(PREFIX.length).split(" ");
  const bytes = decodeBase64(base64);
  if (
    !line.startsWith(PREFIX) ||
    !isKeyName(name) ||
    rest.length > 0 ||
    bytes === undefined ||
    bytes.length <= KEY_ID_BYTES
  )
    throw malformed("Signature line is malformed");
  return { name, keyId: bytes.readUInt32BE(), signature: bytes.subarray(KEY_ID_BYTES) };
}

function isKeyId(keyId: number): boolean {
  return Number.isInteger(keyId) && keyId >= 0 && keyId < 2 ** (8 * KEY_ID_BYTES);
}

function malformed(problem: string): TlogError {
  return new TlogError("ERR_TLOG_NOTE_MALFORMED", problem);
}

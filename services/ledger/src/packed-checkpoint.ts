import { encodeCheckpoint, HASH_BYTES } from "@redoubt/tlog";
import { historyError } from "./errors.ts";

/** A checkpoint is stored as its root and, for each signature line, the key id and the Ed25519 signature. */
const SIGNED_BYTES = 4 + 64;
const SIGNED_CHARS = Math.ceil(SIGNED_BYTES / 3) * 4;
const ROOT_CHARS = Math.ceil(HASH_BYTES / 3) * 4;

/** Packs a note without extension lines. What is left out, `unpackCheckpoint` knows from the log and the size. */
export function packCheckpoint(note: string): Buffer {
  const bodyEnd = note.indexOf("\n\n");
  const lines = note.slice(bodyEnd + 2, -1).split("\n");
  const packed = Buffer.alloc(HASH_BYTES + lines.length * SIGNED_BYTES);
  packed.write(note.slice(bodyEnd - ROOT_CHARS, bodyEnd), 0, "base64");
  for (const [i, line] of lines.entries())
    packed.write(line.slice(-SIGNED_CHARS), HASH_BYTES + i * SIGNED_BYTES, "base64");
  return packed;
}

/**
 * The note, as it was. `signers`: the names that its lines begin with, in order. Whoever has the database controls the
 * bytes; a note made of wrong ones does not verify.
 *
 * @throws ServiceError `ERR_LEDGER_HISTORY`
 */
export function unpackCheckpoint(
  packed: Buffer,
  head: { readonly origin: string; readonly size: number; readonly signers: readonly string[] },
): string {
  const { origin, size, signers } = head;
  if (packed.length !== HASH_BYTES + signers.length * SIGNED_BYTES)
    throw historyError(`Stored checkpoint has ${packed.length} bytes`);
  const body = encodeCheckpoint({ origin, size, root: packed.subarray(0, HASH_BYTES) });
  const lines = signers.map((name, i) => {
    const at = HASH_BYTES + i * SIGNED_BYTES;
    return `\u2014 ${name} ${packed.toString("base64", at, at + SIGNED_BYTES)}\n`;
  });
  return `${body}\n${lines.join("")}`;
}

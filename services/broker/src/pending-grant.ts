import {
  MemberReader,
  privateFileExists,
  readPrivateFile,
  ServiceError,
  writeDurable,
} from "@redoubt/base";
import { decodeBase64url, encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject } from "@redoubt/verify/json";

/** One grant as it goes to the ledger: the same bytes each time it is sent. */
export interface PendingGrant {
  /** Place of its entry. */
  readonly first: number;
  /** The checkpoint with this entry, signed by the broker. */
  readonly note: string;
  readonly entry: Buffer;
  /** What is kept beside the entry. */
  readonly body: Buffer;
}

/** An entry is in so many bytes (docs/spec/logs.md §1). */
const ENTRY_BYTES = 65;
const MAX_NOTE_CHARS = 4096;
/** Evidence has 1 MiB at most, of which JSON within JSON makes twice as much. */
const MAX_BODY_BYTES = 3 * 1024 * 1024;
/** That in base64url, with room for the rest. */
const MAX_FILE_BYTES = 5 * 1024 * 1024;

/** Durable when it returns, in place of the one before. */
export function writePending(path: string, { first, note, entry, body }: PendingGrant): void {
  if (body.length > MAX_BODY_BYTES)
    throw new ServiceError("ERR_BROKER_LOG", `Grant is larger than ${MAX_BODY_BYTES} bytes`);
  const [inText, beside] = [encodeBase64url(entry), encodeBase64url(body)];
  writeDurable(path, JSON.stringify({ v: 1, first, note, entry: inText, body: beside }));
}

/**
 * The newest grant that was sent, or was about to be; undefined before the first.
 *
 * @throws ServiceError `ERR_BROKER_STATE` for a damaged file: what was signed for its place is not known then
 */
export function readPending(path: string): PendingGrant | undefined {
  if (!privateFileExists(path)) return undefined;
  const file = readPrivateFile(path, MAX_FILE_BYTES);
  try {
    const reader = new MemberReader(
      parseJsonObject(file, { maxBytes: MAX_FILE_BYTES }),
      "pending grant",
    );
    reader.integer("v", 1, 1);
    const first = reader.integer("first", 0, Number.MAX_SAFE_INTEGER);
    const note = reader.string("note", MAX_NOTE_CHARS);
    const entry = decodeBase64url(reader.string("entry", MAX_NOTE_CHARS), { bytes: ENTRY_BYTES });
    const body = reader.string("body", MAX_FILE_BYTES);
    reader.done();
    return { first, note, entry, body: decodeBase64url(body, { maxBytes: MAX_BODY_BYTES }) };
  } catch (cause) {
    throw new ServiceError("ERR_BROKER_STATE", "File of the pending grant is damaged", { cause });
  }
}

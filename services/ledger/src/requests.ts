import { MemberReader, ServiceError } from "@redoubt/base";
import { decodeBase64url } from "@redoubt/verify/base64url";
import { isJsonObject } from "@redoubt/verify/json";
import type { Call } from "@redoubt/wire";
import { splitBlobs } from "@redoubt/wire";
import { BUNDLED_ENTRY_BYTES } from "./entries.ts";
import { MAX_BATCH_ENTRIES, type SubmittedBatch } from "./issuance-batch.ts";
import type { RestoreRequest } from "./registry-restore.ts";

const MAX_ORIGIN = 256;
const MAX_RESTORED = 512;
const MAX_SIZE = Number.MAX_SAFE_INTEGER;
const MAX_CHECKPOINT_CHARS = 4096;
const MAX_BODY_CHARS = 200 * 1024;

/** Reads `log` and what `read` asks for, and refuses every other member. */
export function readRequest<T>(
  call: Call,
  read: (head: MemberReader) => T,
): T & { readonly log: string } {
  const head = new MemberReader(call.head, call.op);
  const log = head.string("log", MAX_ORIGIN);
  const rest = read(head);
  head.done();
  return { log, ...rest };
}

export function readSize(head: MemberReader, name: string): number {
  return head.integer(name, 0, MAX_SIZE);
}

/** The form of a commit (docs/spec/wire.md §4). The caller controls all of it; only lengths are looked at here. */
export function readCommit(call: Call): SubmittedBatch & { readonly log: string } {
  const request = readRequest(call, (head) => ({
    first: head.integer("first", 0, MAX_SIZE - MAX_BATCH_ENTRIES),
    n: head.integer("count", 1, MAX_BATCH_ENTRIES),
    checkpoint: head.string("checkpoint", MAX_CHECKPOINT_CHARS),
    entriesBytes: head.integer("entriesBytes", BUNDLED_ENTRY_BYTES, call.attachment.length),
  }));
  const { entriesBytes, ...batch } = request;
  const blobs = call.attachment.subarray(entriesBytes);
  // One blob for each tenant of the batch, at most one for each entry (docs/spec/logs.md §1).
  splitBlobs(blobs, batch.n);
  return { ...batch, entries: call.attachment.subarray(0, entriesBytes), blobs };
}

/** A page of a copy of the registry: as many statements as `MAX_BODY_CHARS` holds. */
export function readRestore(call: Call): RestoreRequest & { readonly log: string } {
  return readRequest(call, (head) => ({
    note: head.string("note", MAX_CHECKPOINT_CHARS),
    from: readSize(head, "from"),
    items: head.array("items", MAX_RESTORED).map((value) => {
      const item = new MemberReader(isJsonObject(value) ? value : {}, "item");
      const read = {
        statement: readBytes(item, "statement"),
        envelope: readBytes(item, "envelope"),
      };
      item.done();
      return read;
    }),
    proof: head.strings("proof", 64, 64).map((text) => decodeMember(text, "proof", 32)),
  }));
}

export function readBytes(head: MemberReader, name: string): Buffer {
  return decodeMember(head.string(name, MAX_BODY_CHARS), name);
}

export function readDigest(head: MemberReader): Buffer {
  return decodeMember(head.string("digest", 43), "digest", 32);
}

function decodeMember(text: string, name: string, bytes?: number): Buffer {
  try {
    return decodeBase64url(text, bytes === undefined ? {} : { bytes });
  } catch (cause) {
    throw new ServiceError("ERR_REQUEST_MEMBER", `${name} must be base64url`, { cause });
  }
}

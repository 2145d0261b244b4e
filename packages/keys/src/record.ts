import { sign, verify, type KeyObject } from "node:crypto";
import { canonicalBytes } from "@redoubt/base";
import { ownBytes } from "@redoubt/tlog";
import type { JsonObject } from "@redoubt/verify/json";
import type { KeyRecord } from "@redoubt/verify/record";
import { KeyError } from "./errors.ts";
import { readKeyRecord } from "./record-problems.ts";

/** docs/spec/key-record.md §2: keeps a ring signature from being read as one over something else. */
export const KEY_RECORD_CONTEXT = "redoubt/key-record/v1\n";

/** What a record says, before it has a name; the strict reader decides whether it is complete. */
export type KeyRecordFields = JsonObject;

export interface SignedKeyRecord {
  readonly record: KeyRecord;
  /** The exact bytes that the kid and the ring's signature cover. */
  readonly recordBytes: Buffer;
  readonly ringSignature: Buffer;
}

/** Encodes a record and reads it back with the reader that verifiers use: an incomplete scope never gets a name. */
export function encodeKeyRecord(fields: KeyRecordFields): { record: KeyRecord; bytes: Buffer } {
  const bytes = canonicalBytes({ v: 1, ...fields });
  return { record: readKeyRecord(bytes), bytes };
}

/**
 * Signs a record with the realm's ring key (Ed25519).
 *
 * @throws KeyError `ERR_KEY_ALG`, `ERR_KEY_RECORD` for an incomplete record, with every problem named
 */
export function signKeyRecord(fields: KeyRecordFields, ringKey: KeyObject): SignedKeyRecord {
  const { record, bytes } = encodeKeyRecord(fields);
  return vouchFor({ record, recordBytes: ownBytes(bytes) }, ringKey);
}

/**
 * Signs a record that was read before, for instance with the ring key that took another's place.
 *
 * @throws KeyError `ERR_KEY_ALG`
 */
export function vouchFor(
  { record, recordBytes }: Omit<SignedKeyRecord, "ringSignature">,
  ringKey: KeyObject,
): SignedKeyRecord {
  if (ringKey.asymmetricKeyType !== "ed25519")
    throw new KeyError("ERR_KEY_ALG", "Ring key is not an Ed25519 key");
  return { record, recordBytes, ringSignature: sign(null, signedBytes(recordBytes), ringKey) };
}

/**
 * P1: a record counts only with the signature of its realm's ring key.
 *
 * @throws KeyError `ERR_KEY_SIGNATURE`, `ERR_KEY_RECORD` with every problem named
 */
export function verifyKeyRecord(
  recordBytes: Buffer,
  ringSignature: Uint8Array,
  ringKey: KeyObject,
): SignedKeyRecord {
  // Only Ed25519: another type would verify by the rules of another algorithm.
  const isEd25519 = ringKey.asymmetricKeyType === "ed25519";
  if (!isEd25519 || !verify(null, signedBytes(recordBytes), ringKey, ringSignature))
    throw new KeyError("ERR_KEY_SIGNATURE", "Key record is not signed by its realm's ring key");
  return {
    record: readKeyRecord(recordBytes),
    recordBytes,
    ringSignature: ownBytes(ringSignature),
  };
}

function signedBytes(recordBytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(KEY_RECORD_CONTEXT, "utf8"), recordBytes]);
}

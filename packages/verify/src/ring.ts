import { PinnedKey } from "./pinned-key.ts";
import { parseKeyRecord, type KeyRecord } from "./record.ts";
import { TrustError } from "./trust-error.ts";

const RECORD_CONTEXT = Buffer.from("redoubt/key-record/v1\n", "utf8");

/**
 * Takes a key record for what it says only if its realm's ring key signed exactly these bytes; one of several while
 * another ring key takes its place.
 * THREAT-27: whoever serves the record, publisher, issuer or proxy, cannot make one count.
 *
 * @throws TrustError `ERR_KEY_UNTRUSTED`, or as `parseKeyRecord`
 */
export function verifyKeyRecord(
  bytes: Uint8Array,
  ringSignature: Uint8Array,
  ring: PinnedKey | readonly PinnedKey[],
): KeyRecord {
  const rings = ring instanceof PinnedKey ? [ring] : ring;
  const signed = Buffer.concat([RECORD_CONTEXT, bytes]);
  if (!rings.some((one) => one.hasSigned(signed, ringSignature)))
    throw new TrustError("ERR_KEY_UNTRUSTED", "Key record: not signed by the pinned ring key");
  return parseKeyRecord(bytes);
}

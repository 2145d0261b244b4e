import { PinnedKey } from "./pinned-key.ts";
import { parseKeyRecord, type KeyRecord } from "./record.ts";
import { TrustError } from "./trust-error.ts";

const RECORD_CONTEXT = Buffer.from("redoubt/key-record/v1\n", "utf8");

/**
 * Reads a key record that the ring key of its realm signed, over exactly these bytes. `ring` may be several keys while
 * one
 * takes the place of another; the signature of any of them is enough. The caller compares the record's realm.
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

import { canonicalBytes, REALM, ServiceError } from "@redoubt/base";
import { parseJsonObject } from "@redoubt/verify/json";
import { bytes, flag, group, integer, message, oneOf, text, type Values } from "@redoubt/wire";

/** Seconds: how long a lease may last. */
export const MAX_LEASE_SECONDS = 900;
const MAX_SECONDS = 253_402_300_799;
const MAX_BYTES = 2048;

const LEASE = {
  v: integer(1, 1),
  type: oneOf("lease"),
  realm: text(32, REALM),
  signer: text(64, /^[a-z][a-z0-9-]*$/),
  /** Raw Ed25519 key of who may use it. */
  holderKey: bytes({ bytes: 32 }),
  platform: text(16, /^[a-z0-9-]+$/),
  /** Whether a vendor's hardware vouches for the machine. */
  hardware: flag,
  /** The broker's time, POSIX seconds; also the beginning. */
  issued: integer(0, MAX_SECONDS),
  /** POSIX seconds: from then on it is no lease. */
  expires: integer(0, MAX_SECONDS),
  /** Entries of the registry that the signer must have read, and the root of their tree. */
  registry: group({ size: integer(), root: bytes({ bytes: 32 }) }),
  /** Lowest version of the signer's image. */
  minVersion: integer(),
  /** SHA-256 of the evidence, as it was sent. */
  evidence: bytes({ bytes: 32 }),
};

/** The right to use one realm's keys for a while (docs/spec/leases.md §3). */
export type Lease = Values<typeof LEASE>;

const leaseMessage = message("lease", LEASE);

/** @throws RangeError for a lease that lasts for less than a second or for too long */
export function encodeLease(lease: Lease): Buffer {
  if (!isDuration(lease)) throw new RangeError("A lease lasts for 1 to 900 s");
  return canonicalBytes(leaseMessage.write(lease));
}

/** @throws ServiceError `ERR_LEASE_FORMAT` */
export function parseLease(encoded: Uint8Array): Lease {
  try {
    if (encoded.length > MAX_BYTES) throw new RangeError("Too long");
    const lease = leaseMessage.read(parseJsonObject(encoded));
    if (!isDuration(lease)) throw new RangeError("Lasts for too long, or ends before it begins");
    if (!encodeLease(lease).equals(encoded)) throw new RangeError("Not canonical");
    return lease;
  } catch (cause) {
    throw new ServiceError("ERR_LEASE_FORMAT", "Not a lease", { cause });
  }
}

function isDuration({ issued, expires }: Lease): boolean {
  return expires > issued && expires - issued <= MAX_LEASE_SECONDS;
}

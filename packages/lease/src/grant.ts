import { createPublicKey, hash, type KeyObject, sign, verify } from "node:crypto";
import { ServiceError } from "@redoubt/base";
import {
  encodeProofFile,
  hashLeaf,
  openCheckpoint,
  parseProofFile,
  type ProofFile,
  TlogError,
  verifyInclusion,
  type VerifierKey,
} from "@redoubt/tlog";
import { type Lease, parseLease } from "./lease.ts";
import { publicKeyOf, rawPublicKey } from "./raw-key.ts";

/** The log of a broker: its origin, the ledger's key and the broker's own. */
export interface GrantLog {
  readonly origin: string;
  readonly logKey: VerifierKey;
  readonly writerKey: VerifierKey;
}

const COMMITMENT_BYTES = 32;
const TAG = Buffer.of(1);

/**
 * Entry of a lease in the broker's log (docs/spec/leases.md §3). The commitment is to the evidence that is kept beside it.
 */
export function leaseEntry(lease: Uint8Array, commitment: Uint8Array): Buffer {
  return Buffer.concat([TAG, hash("sha256", lease, "buffer"), commitment]);
}

/**
 * A lease as its holder gets it: a C2SP tlog-proof whose extra data are commitment and lease. A lease has no signature of
 * its own: it counts because both the broker and the ledger signed a tree that holds it, so none can be given unlogged.
 */
export function encodeGrant(
  lease: Uint8Array,
  commitment: Uint8Array,
  proof: Omit<ProofFile, "extra">,
): string {
  return encodeProofFile({ ...proof, extra: Buffer.concat([commitment, lease]) });
}

export interface Grant {
  readonly lease: Lease;
  /** SHA-256 of the lease. */
  readonly digest: Buffer;
  /** Place in the broker's log: a later lease has a higher one. */
  readonly index: number;
  /** To what is kept beside the entry. */
  readonly commitment: Buffer;
}

/** @throws ServiceError `ERR_LEASE_FORMAT`, `ERR_LEASE_PROOF` for one that is in no tree that both signed */
export function openGrant(grant: string, { origin, logKey, writerKey }: GrantLog): Grant {
  try {
    const { index, proof, checkpoint, extra = Buffer.alloc(0) } = parseProofFile(grant);
    const bytes = extra.subarray(COMMITMENT_BYTES);
    const commitment = Buffer.from(extra.subarray(0, COMMITMENT_BYTES));
    const leafHash = hashLeaf(leaseEntry(bytes, commitment));
    const { size, root, verified } = openCheckpoint(checkpoint, {
      origin,
      verifiers: [logKey, writerKey],
    });
    const names = new Set(verified.map(({ name }) => name));
    if (!names.has(logKey.name) || !names.has(writerKey.name))
      throw new RangeError("A signature is missing");
    verifyInclusion({ index, size, leafHash, root, proof });
    return { lease: parseLease(bytes), digest: hash("sha256", bytes, "buffer"), index, commitment };
  } catch (cause) {
    const isProof = cause instanceof TlogError || cause instanceof RangeError;
    if (!isProof) throw cause;
    throw new ServiceError("ERR_LEASE_PROOF", "Lease is not proven to be in the broker's log", {
      cause,
    });
  }
}

const USE = Buffer.from("redoubt/lease-use/v1\n");

function usedBytes(challenge: Uint8Array, digest: Uint8Array): Buffer {
  return Buffer.concat([USE, challenge, digest]);
}

/** Proves to whoever gave `challenge` that the lease is used by its holder. */
export function proveHolder(holder: KeyObject, challenge: Uint8Array, digest: Uint8Array): Buffer {
  return sign(null, usedBytes(challenge, digest), holder);
}

export function isHolder(
  { lease, digest }: Grant,
  challenge: Uint8Array,
  proof: Uint8Array,
): boolean {
  return verify(null, usedBytes(challenge, digest), publicKeyOf(lease.holderKey, "Ed25519"), proof);
}

/** Raw public half of a holder's key. */
export function holderKeyOf(holder: KeyObject): Buffer {
  return rawPublicKey(createPublicKey(holder), "Ed25519");
}

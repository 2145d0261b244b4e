import { type PinnedRoots, verifyChain } from "./certificate-chain.ts";
import { checkBound } from "./check-bound.ts";
import { parseEs384Sign1, verifyEs384Sign1 } from "./cose-sign1.ts";
import {
  type NitroDocument,
  parseNitroDocument,
  type UnverifiedNitroDocument,
} from "./nitro-document.ts";
import { checkSigningLeaf } from "./signing-leaf.ts";
import { parseCertificate } from "./x509.ts";

/** Root G1 of AWS Nitro Enclaves: SHA-256 of its DER. */
export const AWS_NITRO_ROOTS: PinnedRoots = new Set([
  "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
]);

export interface NitroOptions {
  /** Milliseconds since 1970. A leaf lives three hours: an archived document is verified at the time of its log entry. */
  readonly now: number;
  /** What the caller asked the enclave to bind; `null` says that a field is not compared. */
  readonly expected: NitroBinding;
  /** Default `AWS_NITRO_ROOTS`. */
  readonly roots?: PinnedRoots | undefined;
}

export interface NitroBinding {
  readonly nonce: Uint8Array | null;
  readonly userData: Uint8Array | null;
  readonly publicKey: Uint8Array | null;
}

const WHAT = "Nitro document";
const MAX_BYTES = 20_480;
const COSE = { what: WHAT, maxBytes: MAX_BYTES };

/** Leaves of Nitro are not back-dated, so a clock of ours that is a little slow would refuse fresh documents. */
const LEEWAY_MS = 60_000;

/**
 * Verifies an attestation document of an AWS Nitro enclave: its chain to the pinned root, its signature, and that it
 * binds what the caller expects. Which PCRs are good, and whether debug mode is, a policy decides.
 *
 * @throws EvidenceError
 * @example
 * verifyNitro(document, { now: Date.now(), expected: { nonce, userData: null, publicKey: null } }).pcrs.get(0);
 */
export function verifyNitro(encoded: Uint8Array, options: NitroOptions): NitroDocument {
  const { now, expected, roots = AWS_NITRO_ROOTS } = options;
  const unverified = parseEs384Sign1(encoded, COSE);
  const { certificates, ...document } = parseNitroDocument(unverified.payload);
  const chain = certificates.map((der) => parseCertificate(der, WHAT));
  const { leaf } = verifyChain(chain, { roots, now, leewayMs: LEEWAY_MS, what: WHAT });
  checkSigningLeaf(leaf, WHAT);
  verifyEs384Sign1(unverified, { key: leaf.publicKey, what: WHAT });
  checkMember("nonce", document.nonce, expected.nonce);
  checkMember("user_data", document.userData, expected.userData);
  checkMember("public_key", document.publicKey, expected.publicKey);
  return document;
}

/** What a document says of itself, before anything of it is verified. */
export function parseUnverifiedNitro(encoded: Uint8Array): UnverifiedNitroDocument {
  return parseNitroDocument(parseEs384Sign1(encoded, COSE).payload);
}

function checkMember(member: string, found: Buffer | undefined, expected: Uint8Array | null): void {
  if (expected !== null)
    checkBound(found, expected, { problem: `${WHAT}: ${member} is another one`, part: member });
}

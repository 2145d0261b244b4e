import { EvidenceError } from "./evidence-error.ts";
import { verifySignature } from "./signature-algorithm.ts";
import type { Certificate } from "./x509.ts";

/** Root certificates by the SHA-256 of their DER, hexadecimal. */
export type PinnedRoots = ReadonlySet<string>;

export interface ChainOptions {
  readonly roots: PinnedRoots;
  /** Milliseconds since 1970: when the evidence must have been valid. */
  readonly now: number;
  /** How far the issuer's clock may be ahead, in milliseconds; for `notBefore` alone. Default 0. */
  readonly leewayMs?: number;
  /** Critical extensions that the caller reads itself, by dotted OID. */
  readonly understood?: ReadonlySet<string>;
  /** Names the chain in errors: "VCEK chain". */
  readonly what: string;
}

/** Leaf, intermediates and root of a chain, verified up to a pinned root at `now`. */
export interface VerifiedChain {
  readonly leaf: Certificate;
  readonly root: Certificate;
  readonly certificates: readonly Certificate[];
}

const MAX_CERTIFICATES = 8;
const UNDERSTOOD: ReadonlySet<string> = new Set(["2.5.29.15", "2.5.29.19"]);

/**
 * Verifies a chain that is in order: the leaf first, the root last (RFC 5280 §6.1). Each issuer is an authority with
 * `keyCertSign` whose path is long enough, names match, everything is valid at `now`, the leaf is no authority, and
 * the root is pinned as a whole, so its own signature need not be asked.
 *
 * @throws EvidenceError `ERR_EVIDENCE_ROOT`, `ERR_EVIDENCE_CERTIFICATE`, `ERR_EVIDENCE_TIME`, `ERR_EVIDENCE_SIGNATURE`
 */
export function verifyChain(chain: readonly Certificate[], options: ChainOptions): VerifiedChain {
  const { roots, what } = options;
  const [leaf, ...issuers] = chain;
  const root = issuers.at(-1);
  if (
    // mutate: a chain without a leaf has no root either.
    leaf === undefined ||
    root === undefined ||
    chain.length > MAX_CERTIFICATES
  )
    throw refused(what, `a chain has 2 to ${MAX_CERTIFICATES} certificates`);
  if (!roots.has(root.fingerprint))
    throw new EvidenceError("ERR_EVIDENCE_ROOT", `${what}: root is not pinned`, {
      part: what,
      found: root.fingerprint,
    });
  if (leaf.isAuthority) throw refused(what, "leaf is an authority");
  for (const certificate of chain) checkCertificate(certificate, options);
  let below = leaf;
  for (const [depth, issuer] of issuers.entries()) {
    checkIssuer(issuer, depth, what);
    verifyIssued(below, issuer, what);
    below = issuer;
  }
  return { leaf, root, certificates: chain };
}

/** Verifies that `issuer` signed: its name and its key. Says nothing about the issuer itself. */
function verifyIssued(certificate: Certificate, issuer: Certificate, what: string): void {
  if (!certificate.issuer.equals(issuer.subject)) throw refused(what, "issuer has another name");
  const { signed, signature, algorithm } = certificate;
  verifySignature(signed, signature, { algorithm, key: issuer.publicKey, what });
}

/** @param depth number of authorities below this one */
function checkIssuer(issuer: Certificate, depth: number, what: string): void {
  if (!issuer.isAuthority) throw refused(what, "issuer is no authority");
  if (issuer.keyUsage?.keyCertSign !== true)
    throw refused(what, "issuer may not sign certificates");
  if (depth > (issuer.pathLength ?? MAX_CERTIFICATES)) throw refused(what, "path is too long");
}

function checkCertificate(certificate: Certificate, options: ChainOptions): void {
  const { now, leewayMs = 0, understood, what } = options;
  if (now < certificate.notBefore - leewayMs || now > certificate.notAfter)
    throw new EvidenceError("ERR_EVIDENCE_TIME", `${what}: a certificate is not valid then`, {
      part: what,
      found: new Date(now).toISOString(),
      expected: `${new Date(certificate.notBefore).toISOString()} to ${new Date(certificate.notAfter).toISOString()}`,
    });
  for (const [oid, { isCritical }] of certificate.extensions) {
    // RFC 5280 §4.2: what is critical and not understood makes the certificate unusable.
    if (isCritical && !UNDERSTOOD.has(oid) && understood?.has(oid) !== true)
      throw refused(what, "critical extension is not understood");
  }
}

function refused(what: string, problem: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_CERTIFICATE", `${what}: ${problem}`, { part: what });
}

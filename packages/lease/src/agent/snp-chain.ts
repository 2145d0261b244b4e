import { ServiceError } from "@redoubt/base";
import { decodePemChain } from "@redoubt/evidence";
import { parseJsonObject } from "@redoubt/verify/json";
import { readBounded } from "./read-bounded.ts";

/** Key, issuer, root. */
const MAX_CERTIFICATES = 3;
const MAX_CHAIN_BYTES = 65_536;
const DER_SEQUENCE = 0x30;
const OPENING_BRACE = 0x7b;

/**
 * Reads certificates of a SEV-SNP machine, in the order of the files: PEM with one or more, one in DER, or the JSON of
 * Azure's host (THIM), whose `vcekCert` and `certificateChain` are PEM. They are verified where the evidence is.
 *
 * @throws ServiceError `ERR_ATTESTER_FILE`
 */
export async function readSnpChain(paths: readonly string[]): Promise<readonly Buffer[]> {
  const chains = await Promise.all(paths.map(readCertificates));
  return chains.flat();
}

async function readCertificates(path: string): Promise<readonly Buffer[]> {
  try {
    return decodeCertificates(await readBounded(path, MAX_CHAIN_BYTES));
  } catch (cause) {
    throw new ServiceError("ERR_ATTESTER_FILE", `No certificates in ${path}`, { cause });
  }
}

/** @throws EvidenceError `ERR_EVIDENCE_FORMAT`, JsonError */
export function decodeCertificates(bytes: Buffer): readonly Buffer[] {
  if (bytes[0] === DER_SEQUENCE) return [bytes];
  const pem = bytes[0] === OPENING_BRACE ? thimPem(bytes) : bytes.toString("latin1");
  return decodePemChain(pem, { maxCertificates: MAX_CERTIFICATES, what: "chain" });
}

function thimPem(bytes: Buffer): string {
  const { vcekCert, certificateChain } = parseJsonObject(bytes, { maxDepth: 2 });
  return [vcekCert, certificateChain].map(String).join("\n");
}

import { EvidenceError } from "./evidence-error.ts";
import { type Certificate, parseCertificate } from "./x509.ts";

export interface PemChainOptions {
  readonly maxCertificates: number;
  /** Names the chain in errors. */
  readonly what: string;
}

const BLOCK =
  /^-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/\r\n]+={0,2})\r?\n-----END CERTIFICATE-----$/;
const END = "-----END CERTIFICATE-----";

/**
 * Splits a chain in PEM (RFC 7468 §5.1) into the DER of its certificates. Only line breaks may stand between the
 * blocks; a NUL at the end, which quotes of TDX carry, is allowed.
 *
 * @throws EvidenceError
 */
export function decodePemChain(
  text: string,
  { maxCertificates, what }: PemChainOptions,
): readonly Buffer[] {
  const blocks = text.replace(/\0$/, "").trim().split(END);
  const rest = blocks.pop();
  if (rest !== "" || blocks.length > maxCertificates || blocks.length === 0) throw malformed(what);
  return blocks.map((block) => {
    const body = BLOCK.exec(`${block.trimStart()}${END}`)?.[1];
    if (body === undefined) throw malformed(what);
    return Buffer.from(body, "base64");
  });
}

/** As `decodePemChain`, and reads each certificate. */
export function parsePemChain(text: string, options: PemChainOptions): readonly Certificate[] {
  return decodePemChain(text, options).map((der) => parseCertificate(der, options.what));
}

function malformed(what: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_FORMAT", `${what}: not a chain of PEM certificates`, {
    part: what,
  });
}

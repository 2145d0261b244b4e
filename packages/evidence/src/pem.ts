import { EvidenceError } from "./evidence-error.ts";

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
  { maxCertificates, what }: { readonly maxCertificates: number; readonly what: string },
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

function malformed(what: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_FORMAT", `${what}: not a chain of PEM certificates`, {
    part: what,
  });
}

import { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";

/** UEFI_VARIABLE_DATA (PFP §10.2.6). */
export interface EfiVariable {
  /** As it stands in memory, 16 bytes in hexadecimal. */
  readonly guid: string;
  readonly name: string;
  readonly value: Buffer;
}

const MAX_NAME = 256;

export const EFI_GLOBAL_VARIABLE = "61dfe48bca93d211aa0d00e098032b8c";

/** @throws EvidenceError `ERR_EVIDENCE_FORMAT` */
export function parseEfiVariable(data: Buffer): EfiVariable {
  const reader = new ByteReader(data, "EFI variable");
  const guid = reader.bytes(16).toString("hex");
  const [nameUnits, valueBytes] = [reader.u64le(), reader.u64le()];
  if (nameUnits > BigInt(MAX_NAME) || valueBytes > BigInt(reader.left))
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", "EFI variable: impossible size", {
      part: "eventLog",
    });
  const name = reader.bytes(Number(nameUnits) * 2).toString("utf16le");
  const value = reader.bytes(Number(valueBytes));
  reader.end();
  return { guid, name, value };
}

/** What parses as a variable, or undefined: for events of which nothing else is known. */
export function findEfiVariable(data: Buffer): EfiVariable | undefined {
  try {
    return parseEfiVariable(data);
  } catch {
    return undefined;
  }
}

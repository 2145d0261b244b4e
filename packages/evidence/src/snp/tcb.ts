import { EvidenceError } from "../evidence-error.ts";

export type SnpProduct = "Milan" | "Genoa" | "Turin";

/** Security version numbers of a processor's firmware (SEV-SNP ABI, TCB_VERSION). `fmc` exists since Turin. */
export interface SnpTcb {
  readonly fmc: number | undefined;
  readonly bootloader: number;
  readonly tee: number;
  readonly snp: number;
  readonly microcode: number;
}

/**
 * Reads a TCB_VERSION of 8 bytes; the product says which layout it has. Turin moved every field by one, so a layout is
 * never guessed.
 */
export function parseSnpTcb(bytes: Buffer, product: SnpProduct, part: string): SnpTcb {
  const isTurin = product === "Turin";
  if (bytes.subarray(isTurin ? 4 : 2, isTurin ? 7 : 6).some((byte) => byte !== 0))
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", `SNP ${part}: reserved bytes are set`, { part });
  const microcode = bytes.readUInt8(7);
  if (!isTurin) {
    const [bootloader, tee, snp] = [bytes.readUInt8(0), bytes.readUInt8(1), bytes.readUInt8(6)];
    return { fmc: undefined, bootloader, tee, snp, microcode };
  }
  const [fmc, bootloader] = [bytes.readUInt8(0), bytes.readUInt8(1)];
  return { fmc, bootloader, tee: bytes.readUInt8(2), snp: bytes.readUInt8(3), microcode };
}

/** One text for one TCB, as errors show it and KDS spells it. */
export function snpTcbText({ fmc, bootloader, tee, snp, microcode }: SnpTcb): string {
  const parts = [`bl ${bootloader}`, `tee ${tee}`, `snp ${snp}`, `ucode ${microcode}`];
  return (fmc === undefined ? parts : [`fmc ${fmc}`, ...parts]).join(" ");
}

import { createHash } from "node:crypto";
import { EvidenceError } from "../evidence-error.ts";
import { parsePeImage } from "./pe-image.ts";

/** What a TPM will hold after a unified kernel image was started by firmware, SHA-256. */
export interface UkiReference {
  /** The boot path: firmware's own events, the image, and the kernel in it. */
  readonly pcr4: Buffer;
  /** The image's sections, and the phases of the boot that were named. */
  readonly pcr11: Buffer;
  /** The digests in PCR 4, for logs in which firmware starts other programs first. */
  readonly applications: readonly Buffer[];
}

/** The order in which systemd-stub measures sections (systemd, UKI specification; `.pcrsig` is never measured). */
const MEASURED_SECTIONS = [
  ".linux",
  ".osrel",
  ".cmdline",
  ".initrd",
  ".ucode",
  ".splash",
  ".dtb",
  ".uname",
  ".sbat",
  ".pcrpkey",
] as const;

const BOOT_ACTION = Buffer.from("Calling EFI Application from Boot Option");
const SEPARATOR = Buffer.alloc(4);
const SIZE = 32;

/**
 * Computes what firmware and systemd-stub measure of a unified kernel image, without starting it.
 *
 * @param phases what systemd measures into PCR 11 later, such as "enter-initrd"; none where nothing runs that does
 * @throws EvidenceError
 */
export function measureUki(image: Uint8Array, phases: readonly string[] = []): UkiReference {
  const { sections, authenticode } = parsePeImage(image);
  const byName = new Map(sections.map(({ name, data }) => [name, data]));
  const kernel = byName.get(".linux");
  if (kernel === undefined || byName.size < sections.length)
    throw new EvidenceError(
      "ERR_EVIDENCE_UNSUPPORTED",
      "UKI: a kernel section is missing, or a section stands twice",
      { part: "image.linux" },
    );
  const inner = parsePeImage(kernel).authenticode;
  const measured = MEASURED_SECTIONS.flatMap((name) => {
    const data = byName.get(name);
    return data === undefined ? [] : [sha256(Buffer.from(`${name}\0`)), sha256(data)];
  });
  const pcr4 = [sha256(BOOT_ACTION), sha256(SEPARATOR), authenticode, inner];
  return {
    pcr4: extended(pcr4),
    pcr11: extended([...measured, ...phases.map((phase) => sha256(Buffer.from(phase)))]),
    applications: [authenticode, inner],
  };
}

function extended(digests: readonly Buffer[]): Buffer {
  return digests.reduce<Buffer>(
    (value, digest) => sha256(Buffer.concat([value, digest])),
    Buffer.alloc(SIZE),
  );
}

function sha256(data: Uint8Array): Buffer {
  return createHash("sha256").update(data).digest();
}

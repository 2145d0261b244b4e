import { createHash } from "node:crypto";
import { EvidenceError } from "../evidence-error.ts";
import { MEASURED_SECTIONS } from "./measured-sections.ts";
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

/** With these the stub chooses at the start, so that an image has more than one value. */
const CHOSEN_SECTIONS: readonly string[] = [".profile", ".dtbauto", ".hwids", ".efifw"];
const STUB_VERSION = /^#### LoaderInfo: systemd-stub (\d{3})[^\d]/;

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
  const chosen = CHOSEN_SECTIONS.find((name) => byName.has(name));
  if (chosen !== undefined)
    throw new EvidenceError(
      "ERR_EVIDENCE_UNSUPPORTED",
      "UKI: what is measured depends on the machine",
      {
        part: `image${chosen}`,
      },
    );
  const inner = parsePeImage(kernel).authenticode;
  const version = stubVersion(byName.get(".sdmagic"));
  const measured = MEASURED_SECTIONS.flatMap(([name, since]) => {
    const data = byName.get(name);
    return data === undefined || version < since
      ? []
      : [sha256(Buffer.from(`${name}\0`)), sha256(data)];
  });
  const pcr4 = [sha256(BOOT_ACTION), sha256(SEPARATOR), authenticode, inner];
  return {
    pcr4: extended(pcr4),
    pcr11: extended([...measured, ...phases.map((phase) => sha256(Buffer.from(phase)))]),
    applications: [authenticode, inner],
  };
}

/** A stub measures the sections that it knows: an older one leaves newer ones out. */
function stubVersion(magic: Buffer | undefined): number {
  const [, version] = STUB_VERSION.exec(magic?.toString("latin1") ?? "") ?? [];
  if (version === undefined)
    throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", "UKI: not by systemd-stub 252 or later", {
      part: "image.sdmagic",
    });
  return Number(version);
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

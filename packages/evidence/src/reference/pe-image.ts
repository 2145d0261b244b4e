import { createHash } from "node:crypto";
import { EvidenceError } from "../evidence-error.ts";

/** One section of a PE image. */
export interface PeSection {
  readonly name: string;
  /** What the loader sees: `VirtualSize` bytes, filled up with zeros where the file has fewer. */
  readonly data: Buffer;
}

/** A PE32+ image (Microsoft PE format), as far as it is measured. */
export interface PeImage {
  readonly sections: readonly PeSection[];
  /** SHA-256 after Windows Authenticode PE: what firmware measures into PCR 4. */
  readonly authenticode: Buffer;
}

const MAX_IMAGE_BYTES = 1_073_741_824;
const MAX_SECTIONS = 96;
const SECTION_HEADER_BYTES = 40;
const PE32_PLUS = 0x20b;
const CERTIFICATE_TABLE = 4;

interface Header {
  readonly checksumAt: number;
  readonly certificateEntryAt: number;
  readonly headersSize: number;
  readonly sectionsAt: number;
  readonly sectionCount: number;
  readonly certificatesSize: number;
}

interface RawSection {
  readonly name: string;
  readonly virtualSize: number;
  readonly offset: number;
  readonly size: number;
}

/**
 * Reads a PE image and computes its Authenticode digest.
 *
 * @throws EvidenceError `ERR_EVIDENCE_FORMAT`, `ERR_EVIDENCE_UNSUPPORTED`, `ERR_EVIDENCE_SIZE`
 */
export function parsePeImage(bytes: Uint8Array): PeImage {
  if (bytes.length > MAX_IMAGE_BYTES)
    throw new EvidenceError("ERR_EVIDENCE_SIZE", "PE image is too large", {
      part: "image",
      found: bytes.length,
      expected: MAX_IMAGE_BYTES,
    });
  const image = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = parseHeader(image);
  const raw = Array.from({ length: header.sectionCount }, (_, i) =>
    parseSection(image, header.sectionsAt + i * SECTION_HEADER_BYTES),
  );
  const sections = raw.map(({ name, virtualSize, offset, size }) => ({
    name,
    data: loaded(image, { offset, size, virtualSize }),
  }));
  return { sections, authenticode: authenticode(image, header, raw) };
}

function parseHeader(image: Buffer): Header {
  if (u16(image, 0) !== 0x5a4d) throw malformed("no DOS header");
  const pe = u32(image, 0x3c);
  if (u32(image, pe) !== 0x0000_4550) throw malformed("no PE header");
  const sectionCount = u16(image, pe + 6);
  if (sectionCount === 0 || sectionCount > MAX_SECTIONS)
    throw malformed("impossible number of sections");
  const optional = pe + 24;
  if (u16(image, optional) !== PE32_PLUS)
    throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", "PE image: not PE32+", { part: "image" });
  const headersSize = u32(image, optional + 60);
  const sectionsAt = optional + u16(image, pe + 20);
  if (headersSize > image.length || sectionsAt + sectionCount * SECTION_HEADER_BYTES > headersSize)
    throw malformed("headers are cut off");
  if (u32(image, optional + 108) <= CERTIFICATE_TABLE)
    throw malformed("no certificate table entry");
  const certificateEntryAt = optional + 112 + CERTIFICATE_TABLE * 8;
  const certificatesSize = u32(image, certificateEntryAt + 4);
  if (certificatesSize > image.length - headersSize) throw malformed("certificates are cut off");
  return {
    checksumAt: optional + 64,
    certificateEntryAt,
    headersSize,
    sectionsAt,
    sectionCount,
    certificatesSize,
  };
}

function parseSection(image: Buffer, at: number): RawSection {
  const name = image.toString("latin1", at, at + 8).replace(/\0+$/, "");
  const [virtualSize, size, offset] = [
    u32(image, at + 8),
    u32(image, at + 16),
    u32(image, at + 20),
  ];
  if (offset + size > image.length || virtualSize > MAX_IMAGE_BYTES)
    throw malformed("section is cut off");
  return { name, virtualSize, offset, size };
}

function loaded(image: Buffer, { offset, size, virtualSize }: Omit<RawSection, "name">): Buffer {
  const present = image.subarray(offset, offset + Math.min(size, virtualSize));
  return present.length === virtualSize ? present : Buffer.concat([present], virtualSize);
}

/**
 * Windows Authenticode Portable Executable Signature Format: headers without checksum and without the entry of the
 * certificate table, sections by their place in the file, and what follows them, but for the certificates.
 */
function authenticode(image: Buffer, header: Header, raw: readonly RawSection[]): Buffer {
  const { checksumAt, certificateEntryAt, headersSize, certificatesSize } = header;
  const hash = createHash("sha256")
    .update(image.subarray(0, checksumAt))
    .update(image.subarray(checksumAt + 4, certificateEntryAt))
    .update(image.subarray(certificateEntryAt + 8, headersSize));
  let hashed = headersSize;
  for (const { offset, size } of raw
    .filter((section) => section.size > 0)
    .toSorted((a, b) => a.offset - b.offset)) {
    // Sections that lie over each other are hashed twice by some firmware, and once by other.
    if (offset < hashed) throw malformed("sections overlap");
    hash.update(image.subarray(offset, offset + size));
    hashed = offset + size;
  }
  return hash
    .update(image.subarray(hashed, Math.max(hashed, image.length - certificatesSize)))
    .digest();
}

function u16(image: Buffer, at: number): number {
  if (at + 2 > image.length) throw malformed("cut off");
  return image.readUInt16LE(at);
}

function u32(image: Buffer, at: number): number {
  if (at + 4 > image.length) throw malformed("cut off");
  return image.readUInt32LE(at);
}

function malformed(problem: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_FORMAT", `PE image: ${problem}`, { part: "image" });
}

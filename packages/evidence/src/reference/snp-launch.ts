import { createHash } from "node:crypto";
import { EvidenceError } from "../evidence-error.ts";
import { OVMF_REGION, type OvmfMetadata, type OvmfRegion, parseOvmf } from "./ovmf.ts";

/** Who launches: they set processors up differently. */
export type SnpVmm = "qemu" | "ec2";

export interface SnpLaunch {
  /** The firmware image as the launcher loads it. */
  readonly ovmf: Uint8Array;
  readonly vcpus: number;
  readonly vmm: SnpVmm;
  /** CPUID signature of the processor model that the guest is given: family, model, stepping. QEMU only. */
  readonly cpuSignature: number;
  /** SEV_FEATURES, bit 0 for SEV-SNP. */
  readonly guestFeatures: number;
  /** Only with an OVMF that has a table for it, and `kernel-hashes=on`; without it the digest says nothing about a kernel. */
  readonly kernel?: {
    readonly kernel: Uint8Array;
    readonly initrd: Uint8Array;
    readonly commandLine: string;
  };
}

/** CPUID signatures of QEMU's processor models. */
export const CPU_SIGNATURES: Readonly<Record<string, number>> = {
  EPYC: signature(23, 1, 2),
  "EPYC-Rome": signature(23, 49, 0),
  "EPYC-Milan": signature(25, 1, 1),
  "EPYC-Genoa": signature(25, 17, 0),
  "EPYC-Turin": signature(26, 2, 1),
};

const PAGE = 4096;
const FOUR_GIB = 0x1_0000_0000;
const MAX_VCPUS = 1024;
const DIGEST_BYTES = 48;
const VMSA_ADDRESS = 0xffff_ffff_f000n;
const BOOT_ADDRESS = 0xffff_fff0;
/** SEV-SNP ABI, SNP_LAUNCH_UPDATE: PAGE_TYPE. */
const PAGE_TYPE = { normal: 1, vmsa: 2, zero: 3, secrets: 5, cpuid: 6 } as const;

/**
 * Computes the launch measurement of a SEV-SNP guest as its processor will (SEV-SNP ABI, "Launch Digest"): firmware,
 * regions, hashes of the kernel, and the first state of each processor.
 *
 * @returns 48 bytes
 * @throws EvidenceError for an image without the metadata; RangeError
 */
export function measureSnpLaunch({
  ovmf,
  vcpus,
  vmm,
  cpuSignature,
  guestFeatures,
  kernel,
}: SnpLaunch): Buffer {
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > MAX_VCPUS)
    throw new RangeError(`vcpus: 1 to ${MAX_VCPUS}`);
  const image = Buffer.from(ovmf.buffer, ovmf.byteOffset, ovmf.byteLength);
  if (image.length === 0 || image.length % PAGE !== 0)
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", "OVMF: not whole pages", {
      part: "ovmf",
      found: image.length,
    });
  const metadata = parseOvmf(image);
  const digest = new LaunchDigest();
  digest.pages(PAGE_TYPE.normal, FOUR_GIB - image.length, image);
  const hashes = kernel === undefined ? undefined : hashPage(metadata, kernel);
  for (const region of metadata.regions) measureRegion(digest, region, { vmm, hashes });
  // EC2 fills the page in last.
  if (vmm === "ec2")
    for (const region of metadata.regions.filter(({ type }) => type === OVMF_REGION.cpuid))
      digest.empty(PAGE_TYPE.cpuid, region);
  for (let i = 0; i < vcpus; i += 1)
    digest.page(
      PAGE_TYPE.vmsa,
      VMSA_ADDRESS,
      vmsa(i === 0 ? BOOT_ADDRESS : metadata.resetAddress, { vmm, cpuSignature, guestFeatures }),
    );
  return digest.value;
}

function signature(family: number, model: number, stepping: number): number {
  const [low, high] = family > 15 ? [15, family - 15] : [family, 0];
  return (high << 20) | ((model >> 4) << 16) | (low << 8) | ((model & 15) << 4) | stepping;
}

class LaunchDigest {
  value: Buffer = Buffer.alloc(DIGEST_BYTES);

  pages(type: number, address: number, data: Buffer): void {
    for (let at = 0; at < data.length; at += PAGE)
      this.page(type, BigInt(address + at), data.subarray(at, at + PAGE));
  }

  page(type: number, address: bigint, data: Buffer): void {
    this.#update(type, address, createHash("sha384").update(data).digest());
  }

  /** Pages whose contents are not measured. */
  empty(type: number, { address, size }: OvmfRegion): void {
    for (let at = 0; at < size; at += PAGE)
      this.#update(type, BigInt(address + at), Buffer.alloc(DIGEST_BYTES));
  }

  // PAGE_INFO: digest so far, contents, length, type, no IMI, no permissions of lower levels, address.
  #update(type: number, address: bigint, contents: Buffer): void {
    const tail = Buffer.alloc(16);
    tail.writeUInt16LE(0x70, 0);
    tail.writeUInt8(type, 2);
    tail.writeBigUInt64LE(address, 8);
    this.value = createHash("sha384").update(this.value).update(contents).update(tail).digest();
  }
}

function measureRegion(
  digest: LaunchDigest,
  region: OvmfRegion,
  { vmm, hashes }: { readonly vmm: SnpVmm; readonly hashes: Buffer | undefined },
): void {
  switch (region.type) {
    case OVMF_REGION.memory:
    case OVMF_REGION.svsm:
      return digest.empty(PAGE_TYPE.zero, region);
    case OVMF_REGION.secrets:
      return digest.empty(PAGE_TYPE.secrets, region);
    case OVMF_REGION.cpuid:
      return vmm === "ec2" ? undefined : digest.empty(PAGE_TYPE.cpuid, region);
    case OVMF_REGION.kernelHashes:
      return hashes === undefined
        ? digest.empty(PAGE_TYPE.zero, region)
        : digest.pages(PAGE_TYPE.normal, region.address, hashes);
    default:
      throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", "OVMF: unknown kind of region", {
        part: "ovmf.regions",
        found: region.type,
      });
  }
}

/** GUIDs of QEMU's table, as they stand in memory. */
const TABLE = "06d63894224fc94cb479a793d411fd21";
const COMMAND_LINE = "d82dd09720bd944caa78e7714d36ab2a";
const INITRD = "31f7ba442f3ad74b9af141e29169781d";
const KERNEL = "3794e74dd2ab7f42b835d5b172d2045b";
const HASH_ENTRY_BYTES = 50;
const TABLE_BYTES = 18 + 3 * HASH_ENTRY_BYTES;

/** The page with the hashes of what is booted directly; the command line is hashed with its NUL. */
function hashPage(
  { hashTable }: OvmfMetadata,
  { kernel, initrd, commandLine }: NonNullable<SnpLaunch["kernel"]>,
): Buffer {
  if (hashTable === undefined || hashTable.address === 0)
    throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", "OVMF: this image measures no kernel", {
      part: "ovmf.hashTable",
    });
  const page = Buffer.alloc(PAGE);
  const entries = (
    [
      [COMMAND_LINE, Buffer.from(`${commandLine}\0`)],
      [INITRD, initrd],
      [KERNEL, kernel],
    ] as const
  ).map(([guid, data]) =>
    Buffer.concat([
      Buffer.from(guid, "hex"),
      u16(HASH_ENTRY_BYTES),
      createHash("sha256").update(data).digest(),
    ]),
  );
  const table = Buffer.concat([Buffer.from(TABLE, "hex"), u16(TABLE_BYTES), ...entries]);
  page.set(table, hashTable.address % PAGE);
  return page;
}

interface CpuOptions {
  readonly vmm: SnpVmm;
  readonly cpuSignature: number;
  readonly guestFeatures: number;
}

/** First state of a processor (AMD64 APM 2, table B-4, VMSA), as each launcher sets it up. */
function vmsa(start: number, { vmm, cpuSignature, guestFeatures }: CpuOptions): Buffer {
  const isQemu = vmm === "qemu";
  const codeFlags = !isQemu && start === BOOT_ADDRESS ? 0x9a : 0x9b;
  const page = Buffer.alloc(PAGE);
  segment(page, 0x00, 0, 0x93, 0);
  segment(page, 0x10, 0xf000, codeFlags, Math.floor(start / 0x1_0000) * 0x1_0000);
  segment(page, 0x20, 0, isQemu ? 0x93 : 0x92, 0);
  for (const at of [0x30, 0x40, 0x50]) segment(page, at, 0, 0x93, 0);
  segment(page, 0x60, 0, 0, 0);
  segment(page, 0x70, 0, 0x82, 0);
  segment(page, 0x80, 0, 0, 0);
  segment(page, 0x90, 0, isQemu ? 0x8b : 0x83, 0);
  const registers: readonly (readonly [number, bigint])[] = [
    [0xd0, 0x1000n],
    [0x148, 0x40n],
    [0x158, 0x10n],
    [0x160, 0x400n],
    [0x168, 0xffff_0ff0n],
    [0x170, 0x2n],
    [0x178, BigInt(start % 0x1_0000)],
    [0x268, 0x7_0406_0007_0406n],
    [0x310, isQemu ? BigInt(cpuSignature) : 0n],
    [0x3b0, BigInt(guestFeatures)],
    [0x3e8, 1n],
  ];
  for (const [at, value] of registers) page.writeBigUInt64LE(value, at);
  if (isQemu) {
    page.writeUInt32LE(0x1f80, 0x408);
    page.writeUInt16LE(0x37f, 0x410);
  }
  return page;
}

function segment(
  page: Buffer,
  at: number,
  selector: number,
  attributes: number,
  base: number,
): void {
  page.writeUInt16LE(selector, at);
  page.writeUInt16LE(attributes, at + 2);
  page.writeUInt32LE(0xffff, at + 4);
  page.writeBigUInt64LE(BigInt(base), at + 8);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

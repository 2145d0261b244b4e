import { createHash } from "node:crypto";
import { EVENT_TYPES, type EventLogKind } from "../event-log/event-log.ts";
import { u16, u32 } from "./little-endian.ts";

export interface SyntheticEvent {
  readonly register: number;
  readonly type: number;
  readonly data: Buffer;
  /** What is measured; the data themselves where absent. */
  readonly measured?: Buffer;
}

const IDS = { sha1: 4, sha256: 0xb, sha384: 0xc } as const;
export type LogHash = keyof typeof IDS;

export function encodeEvent(
  { register, type, data, measured = data }: SyntheticEvent,
  hashes: readonly LogHash[],
): Buffer {
  const digests = hashes.map((hash) =>
    Buffer.concat([u16(IDS[hash]), createHash(hash).update(measured).digest()]),
  );
  return Buffer.concat([
    u32(register),
    u32(type),
    u32(hashes.length),
    ...digests,
    u32(data.length),
    data,
  ]);
}

export function encodeLogHeader(kind: EventLogKind, hashes: readonly LogHash[]): Buffer {
  const sizes = hashes.map((hash) =>
    Buffer.concat([u16(IDS[hash]), u16(createHash(hash).digest().length)]),
  );
  const spec = Buffer.concat([
    Buffer.from("Spec ID Event03\0"),
    Buffer.from("0000000000020002", "hex"),
    u32(hashes.length),
    ...sizes,
    Buffer.of(0),
  ]);
  return Buffer.concat([
    u32(kind === "ccel" ? 1 : 0),
    u32(3),
    Buffer.alloc(20),
    u32(spec.length),
    spec,
  ]);
}

export function encodeLog(
  events: readonly SyntheticEvent[],
  kind: EventLogKind = "tcg2",
  hashes: readonly LogHash[] = ["sha1", "sha256"],
): Buffer {
  return Buffer.concat([
    encodeLogHeader(kind, hashes),
    ...events.map((event) => encodeEvent(event, hashes)),
  ]);
}

const GLOBAL = Buffer.from("61dfe48bca93d211aa0d00e098032b8c", "hex");

export function variable(name: string, value: Buffer, guid: Buffer = GLOBAL): Buffer {
  const sizes = Buffer.alloc(16);
  sizes.writeBigUInt64LE(BigInt(name.length), 0);
  sizes.writeBigUInt64LE(BigInt(value.length), 8);
  return Buffer.concat([guid, sizes, Buffer.from(name, "utf16le"), value]);
}

export function utf16(text: string): Buffer {
  return Buffer.from(`${text}\0`, "utf16le");
}

const { crtmVersion, efiAction, ipl } = EVENT_TYPES;
/** Types that the package itself has no use for. */
export const OTHER_TYPES = {
  separator: 0x4,
  variableDriverConfig: 0x8000_0001,
  bootServicesApplication: 0x8000_0003,
} as const;
const { separator, variableDriverConfig, bootServicesApplication } = OTHER_TYPES;

export const secureBootOn: SyntheticEvent = {
  register: 7,
  type: variableDriverConfig,
  data: variable("SecureBoot", Buffer.of(1)),
};
export const separator7: SyntheticEvent = { register: 7, type: separator, data: Buffer.alloc(4) };
export const exited: SyntheticEvent = {
  register: 5,
  type: efiAction,
  data: Buffer.from("Exit Boot Services Returned with Success"),
};

/** A boot of a UKI with Secure Boot on. */
export function bootEvents(): readonly SyntheticEvent[] {
  return [
    { register: 0, type: crtmVersion, data: utf16("Firmware 1.0") },
    { ...separator7, register: 0 },
    secureBootOn,
    { register: 7, type: variableDriverConfig, data: variable("PK", Buffer.from("pk")) },
    {
      register: 7,
      type: variableDriverConfig,
      data: variable("db", Buffer.from("db"), Buffer.alloc(16, 1)),
    },
    separator7,
    { register: 4, type: efiAction, data: Buffer.from("Calling EFI Application from Boot Option") },
    { ...separator7, register: 4 },
    {
      register: 4,
      type: bootServicesApplication,
      data: Buffer.from("path"),
      measured: Buffer.from("image"),
    },
    { register: 11, type: ipl, data: utf16(".linux"), measured: Buffer.from(".linux\0") },
    { register: 11, type: ipl, data: utf16(".linux"), measured: Buffer.from("kernel") },
    {
      register: 8,
      type: ipl,
      data: Buffer.from("kernel_cmdline: /vmlinuz ro\0"),
      measured: Buffer.from("/vmlinuz ro"),
    },
    { register: 12, type: ipl, data: utf16("quiet") },
    exited,
  ];
}

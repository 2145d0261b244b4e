import { privateFileExists, ServiceError, writeDurable } from "@redoubt/base";
import {
  encodeSignedRoot,
  MAX_ROOT_KEY_BYTES,
  MAX_SIGNED_ROOT_BYTES,
  parseRootKey,
  parseSignedRoot,
  type RootKey,
  type SignedRoot,
} from "@redoubt/registry";
import { readInput } from "../input.ts";

/** Public files travel between machines and users. */
const PUBLIC_MODE = 0o644;

/** @throws ServiceError `ERR_OPTION` where it cannot be read; KeyError `ERR_ROOT_*` for what is no signed root */
export function readRootFile(path: string): SignedRoot {
  return parseSignedRoot(readPublicFile(path, MAX_SIGNED_ROOT_BYTES));
}

export function readRootKey(path: string): RootKey {
  return parseRootKey(readPublicFile(path, MAX_ROOT_KEY_BYTES));
}

/** With a line end, as people and editors want it. */
export function writeRootFile(path: string, root: SignedRoot): void {
  writePublicFile(path, encodeSignedRoot(root));
}

export function writePublicFile(path: string, bytes: Uint8Array): void {
  writeDurable(path, Buffer.concat([bytes, Buffer.from("\n")]), PUBLIC_MODE);
}

/** @throws ServiceError `ERR_OPTION`: a ceremony never writes over what an earlier one left */
export function refuseExisting(path: string): void {
  if (privateFileExists(path))
    throw new ServiceError("ERR_OPTION", `${path} exists: name another file, or move it away`);
}

function readPublicFile(path: string, maxBytes: number): Uint8Array {
  const bytes = readInput(path, maxBytes);
  return bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
}

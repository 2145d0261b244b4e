import { configError, type MemberReader } from "@redoubt/base";
import { decodeBase64url } from "@redoubt/verify/base64url";

/** How a TPM is reached. */
export type TpmPlace = { readonly device: string } | { readonly socket: string };

interface LogFiles {
  readonly eventLog: string | undefined;
  readonly userspaceLog: string | undefined;
}

/** What a configuration says vouches for a machine; no file of it was opened yet. */
export type AttesterSettings =
  | { readonly kind: "soft"; readonly seedFile: string }
  | ({
      readonly kind: "tpm";
      readonly platform: "tpm2" | "swtpm";
      readonly tpm: TpmPlace;
    } & LogFiles)
  | {
      readonly kind: "tsm";
      readonly folder: string | undefined;
      readonly privilegeLevel: number | undefined;
      readonly chain: readonly string[];
      readonly collateral: string | undefined;
      readonly eventLog: string | undefined;
    }
  | ({
      readonly kind: "azure";
      readonly tpm: TpmPlace;
      readonly chain: readonly string[];
    } & LogFiles);

const KINDS = ["soft", "tpm", "tsm", "azure"] as const;
const PATH = /^[^\0]+$/;
const MAX_PATH = 4096;
/** Key, issuer and root, each in a file of its own. */
const MAX_CHAIN_FILES = 3;
const MAX_PRIVILEGE_LEVEL = 3;
const SEED_BYTES = 32;
const HEX_SEED = /^[0-9a-f]{64}$/i;

/** @throws ServiceError `ERR_CONFIG`, `ERR_REQUEST_MEMBER` */
export function parseAttester(from: MemberReader): AttesterSettings {
  const settings = parseKind(from);
  from.done();
  return settings;
}

function parseKind(from: MemberReader): AttesterSettings {
  const kind = from.oneOf("kind", KINDS);
  switch (kind) {
    case "soft":
      return { kind, seedFile: from.string("seedFile", MAX_PATH, PATH) };
    case "tpm": {
      const platform = from.oneOf("platform", ["tpm2", "swtpm"]);
      const tpm = parsePlace(from);
      // Who connects to a socket has no hardware at its end.
      if ("socket" in tpm && platform !== "swtpm")
        throw configError("attester: a TPM behind a socket is platform swtpm");
      return { kind, platform, tpm, ...parseLogs(from) };
    }
    case "tsm":
      return {
        kind,
        folder: optionalPath(from, "folder"),
        privilegeLevel: from.optionalInteger("privilegeLevel", 0, MAX_PRIVILEGE_LEVEL),
        chain: from.has("chain") ? parseChain(from) : [],
        collateral: optionalPath(from, "collateral"),
        eventLog: optionalPath(from, "eventLog"),
      };
    case "azure":
      return { kind, tpm: parsePlace(from), chain: parseChain(from), ...parseLogs(from) };
  }
}

function parsePlace(from: MemberReader): TpmPlace {
  const [device, socket] = [optionalPath(from, "device"), optionalPath(from, "socket")];
  if (device !== undefined && socket === undefined) return { device };
  if (socket !== undefined && device === undefined) return { socket };
  throw configError("attester: one of device and socket must be there");
}

function parseLogs(from: MemberReader): LogFiles {
  return {
    eventLog: optionalPath(from, "eventLog"),
    userspaceLog: optionalPath(from, "userspaceLog"),
  };
}

function parseChain(from: MemberReader): readonly string[] {
  const files = from.strings("chain", MAX_CHAIN_FILES, MAX_PATH);
  if (files.length === 0 || !files.every((file) => PATH.test(file)))
    throw configError("attester: chain must name files of certificates");
  return files;
}

function optionalPath(from: MemberReader, name: string): string | undefined {
  return from.optionalString(name, MAX_PATH, PATH);
}

/** @throws ServiceError `ERR_CONFIG` that holds nothing of the text */
export function parseSeed(text: string, file: string): Buffer {
  if (HEX_SEED.test(text)) return Buffer.from(text, "hex");
  try {
    return decodeBase64url(text, { bytes: SEED_BYTES });
  } catch {
    throw configError(`attester: ${file} must hold 32 bytes in base64url or hexadecimal`);
  }
}

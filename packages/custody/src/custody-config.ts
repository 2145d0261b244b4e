import { configError, errorLine, MemberReader, type Clock } from "@redoubt/base";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import type { Custodian } from "./custody.ts";
import { KeyError } from "@redoubt/keys";
import { openFileCustodian } from "./file-custodian.ts";
import { readPassphrase } from "./key-file.ts";

/** Custody whose adapter is a package of its own, with a cloud's SDK behind it. */
export const CLOUD_CUSTODY = ["aws-kms", "azure-keyvault", "google-kms"] as const;
export type CloudCustody = (typeof CLOUD_CUSTODY)[number];

export interface FileCustodyConfig {
  readonly kind: "file";
  /** `beside`, or the path of a 0600 file that a person keeps elsewhere. */
  readonly passphrase: "beside" | { readonly file: string };
}

export interface Pkcs11CustodyConfig {
  readonly kind: "pkcs11";
  /** Absolute path of the HSM's module. */
  readonly module: string;
  readonly tokenLabel: string;
  /** 0600. */
  readonly pinFile: string;
  readonly sessions?: number;
  readonly signing?: "sync" | "async";
}

export interface CloudCustodyConfig {
  readonly kind: CloudCustody;
  /** The whole object; its adapter reads it, as strictly, before it does anything else. */
  readonly settings: JsonObject;
}

export type CustodyConfig = FileCustodyConfig | Pkcs11CustodyConfig | CloudCustodyConfig;

/** Loads the adapter of each cloud, which opens custody from its settings. Only that of the configured kind is loaded. */
export type CustodyLoaders = Partial<
  Record<CloudCustody, () => Promise<(settings: JsonObject) => Promise<Custodian>>>
>;

const KINDS = ["file", "pkcs11", ...CLOUD_CUSTODY] as const;
/** PKCS#11 2.40 §3.2: a label has 32 bytes, padded with blanks. */
const TOKEN_LABEL = /^(?! )[ -~]{1,32}(?<! )$/;
const MODULE = /^\/[^\0]+$/;
const MAX_PATH = 4096;
const MAX_SESSIONS = 64;

/**
 * The `custody` member of a service's configuration.
 *
 * @throws ServiceError `ERR_CONFIG` that names every problem at once
 */
export function parseCustodyConfig(json: Uint8Array | JsonObject): CustodyConfig {
  const settings = json instanceof Uint8Array ? parse(json) : json;
  const from = new MemberReader(settings, "custody");
  const problems: string[] = [];
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      problems.push(errorLine(error));
      return undefined;
    }
  };
  const config = readKind(from, settings, attempt);
  if (config === undefined || problems.length > 0) throw configError(problems.join("; "));
  return config;
}

type Attempt = <T>(read: () => T) => T | undefined;

function readKind(
  from: MemberReader,
  settings: JsonObject,
  attempt: Attempt,
): CustodyConfig | undefined {
  const kind = attempt(() => from.oneOf("kind", KINDS));
  switch (kind) {
    case undefined:
      return undefined;
    case "file":
      return readFile(from, attempt);
    case "pkcs11":
      return readPkcs11(from, attempt);
    case "aws-kms":
    case "azure-keyvault":
    case "google-kms":
      return { kind, settings };
  }
}

function readFile(from: MemberReader, attempt: Attempt): FileCustodyConfig | undefined {
  const passphrase = attempt(() => {
    if (from.has("passphrase") === from.has("passphraseFile"))
      throw configError("custody: one of passphrase (beside) and passphraseFile must be there");
    return from.has("passphrase")
      ? from.oneOf("passphrase", ["beside"])
      : { file: from.string("passphraseFile", MAX_PATH) };
  });
  attempt(() => from.done());
  return passphrase && { kind: "file", passphrase };
}

function readPkcs11(from: MemberReader, attempt: Attempt): Pkcs11CustodyConfig | undefined {
  const module = attempt(() => from.string("module", MAX_PATH, MODULE));
  const tokenLabel = attempt(() => from.string("tokenLabel", 32, TOKEN_LABEL));
  const pinFile = attempt(() => from.string("pinFile", MAX_PATH));
  const sessions = attempt(() => from.optionalInteger("sessions", 1, MAX_SESSIONS));
  const signing = attempt(() =>
    from.has("signing") ? from.oneOf("signing", ["sync", "async"]) : undefined,
  );
  attempt(() => from.done());
  if (module === undefined || tokenLabel === undefined || pinFile === undefined) return undefined;
  return {
    kind: "pkcs11",
    module,
    tokenLabel,
    pinFile,
    ...(sessions !== undefined && { sessions }),
    ...(signing !== undefined && { signing }),
  };
}

function parse(json: Uint8Array): JsonObject {
  try {
    return parseJsonObject(json);
  } catch (cause) {
    throw configError("custody: not a strict JSON object", { cause });
  }
}

export interface OpenCustodianOptions {
  readonly loaders?: CustodyLoaders;
  readonly clock?: Clock;
}

/**
 * Opens the custody that is configured; code of other kinds is not loaded. After this, the process no longer needs the
 * permission to load native code.
 *
 * @param folder the 0700 folder of sealed files, used by kind `file` only
 * @throws KeyError, ServiceError as the adapter; KeyError `ERR_KEY_MODULE` for a cloud without its loader
 */
export async function openCustodian(
  config: CustodyConfig,
  folder: string,
  { loaders = {}, clock }: OpenCustodianOptions = {},
): Promise<Custodian> {
  switch (config.kind) {
    case "file": {
      const { passphrase } = config;
      return openFileCustodian({
        folder,
        passphrase: passphrase === "beside" ? passphrase : readPassphrase(passphrase.file),
      });
    }
    case "pkcs11": {
      const { kind: _, pinFile, ...options } = config;
      const { openPkcs11Custodian } = await import("./pkcs11/index.ts");
      return openPkcs11Custodian({ ...options, pin: { file: pinFile }, ...(clock && { clock }) });
    }
    case "aws-kms":
    case "azure-keyvault":
    case "google-kms": {
      const load = loaders[config.kind];
      if (!load) throw new KeyError("ERR_KEY_MODULE", `Custody ${config.kind} has no adapter here`);
      const open = await load();
      return open(config.settings);
    }
  }
}

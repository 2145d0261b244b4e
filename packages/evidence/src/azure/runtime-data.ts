import { createPublicKey, type KeyObject } from "node:crypto";
import { decodeBase64url } from "@redoubt/verify/base64url";
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseJsonObject,
} from "@redoubt/verify/json";
import { EvidenceError } from "../evidence-error.ts";

/** What the paravisor says about the machine and its virtual TPM. */
export interface AzureRuntimeData {
  /** Key of the virtual TPM at handle 0x81000003. */
  readonly akPublic: KeyObject;
  readonly vmUniqueId: string;
  readonly hasSecureBoot: boolean;
  readonly hasTpm: boolean;
  readonly hasConsole: boolean;
  /** 64 bytes of NV index 0x01400002; undefined where the host is too old to have it. */
  readonly userData: Buffer | undefined;
}

const MAX_DEPTH = 6;
const UUID = /^[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}$/i;
const USER_DATA = /^[0-9A-F]{128}$/i;
const AK = "HCLAkPub";
const PART = "hclReport.runtimeData";

/** Reads the JSON whose digest the hardware signed; members that are not needed are left alone. */
export function parseRuntimeData(bytes: Buffer): AzureRuntimeData {
  const data = parse(bytes);
  const { "vm-configuration": configuration, "user-data": userData } = data;
  if (!isJsonObject(configuration)) throw wrong("vm-configuration");
  const { vmUniqueId } = configuration;
  if (typeof vmUniqueId !== "string" || !UUID.test(vmUniqueId)) throw wrong("vmUniqueId");
  return {
    akPublic: akOf(data["keys"]),
    vmUniqueId: vmUniqueId.toLowerCase(),
    hasSecureBoot: flag(configuration, "secure-boot"),
    hasTpm: flag(configuration, "tpm-enabled"),
    hasConsole: flag(configuration, "console-enabled"),
    userData: userData === undefined ? undefined : parseUserData(userData),
  };
}

function parse(bytes: Buffer): JsonObject {
  try {
    return parseJsonObject(bytes, { maxDepth: MAX_DEPTH });
  } catch (cause) {
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", "HCL report: runtime data is not JSON", {
      part: PART,
      cause,
    });
  }
}

/** One key has the name; with two of them, somebody else might read the other. */
function akOf(keys: JsonValue | undefined): KeyObject {
  const named = Array.isArray(keys)
    ? keys.filter(isJsonObject).filter(({ kid }) => kid === AK)
    : [];
  const [key, ...others] = named;
  if (key === undefined || others.length > 0) throw wrong("keys");
  const { kty, n, e } = key;
  // mutate: what is no text is no base64url either.
  if (typeof n !== "string") throw wrong(AK);
  if (kty !== "RSA" || e !== "AQAB") throw wrong(AK);
  try {
    return createPublicKey({
      key: { kty: "RSA", n: decodeBase64url(n).toString("base64url"), e },
      format: "jwk",
    });
  } catch (cause) {
    throw wrong(AK, cause);
  }
}

function flag(configuration: JsonObject, name: string): boolean {
  const value = configuration[name];
  if (typeof value !== "boolean") throw wrong(name);
  return value;
}

function parseUserData(value: JsonValue): Buffer {
  if (typeof value !== "string" || !USER_DATA.test(value)) throw wrong("user-data");
  return Buffer.from(value, "hex");
}

function wrong(member: string, cause?: unknown): EvidenceError {
  return new EvidenceError(
    "ERR_EVIDENCE_FORMAT",
    `HCL report: ${member} is missing or impossible`,
    {
      part: `${PART}.${member}`,
      cause,
    },
  );
}

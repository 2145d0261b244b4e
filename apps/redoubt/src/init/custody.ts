import { ServiceError } from "@redoubt/base";
import { CLOUD_CUSTODY } from "@redoubt/custody";
import {
  isJsonObject,
  JsonError,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from "@redoubt/verify/json";
import { fileArgument, optionError, type CommandContext } from "../command.ts";
import { readInput } from "../input.ts";
import { REALMS, type Realm } from "../layout.ts";
import type { CustodyMembers } from "../up/configs.ts";

export interface CustodyOptions {
  /** `file`, `pkcs11`, or the name of a JSON file with the members `custody` and `custodyNeeds` of a signer. */
  readonly custody?: string;
  readonly pkcs11Module?: string;
  readonly pkcs11Token?: string;
  readonly pkcs11PinFile?: string;
  /** `NAME=value`, for the software of the HSM. */
  readonly pkcs11Env?: readonly string[];
}

/** Sealed files whose passphrase lies beside them: what a signer has whose configuration says nothing. */
export const PLAIN_FILES: CustodyMembers = { consumer: {}, enterprise: {} };

const MAX_FILE_BYTES = 64 * 1024;
const MEMBERS: readonly string[] = ["custody", "custodyNeeds"];

/**
 * What each signer's configuration says of custody. `{realm}` in any text stands for the realm, because no two realms
 * may share a token or a key ring. Whether the values are right is for the signer's own reader to say.
 *
 * @throws ServiceError `ERR_OPTION`
 */
export function chooseCustody(
  context: Pick<CommandContext, "typedIn">,
  { custody = "file", ...options }: CustodyOptions,
): CustodyMembers {
  if (custody !== "pkcs11" && Object.values(options).some((value) => value !== undefined))
    throw optionError("--pkcs11-… options belong to --custody pkcs11");
  if (custody === "file") return PLAIN_FILES;
  const members =
    custody === "pkcs11"
      ? pkcs11Members(context, options)
      : readMembers(fileArgument(context, custody));
  if (!JSON.stringify(members).includes("{realm}"))
    throw optionError(
      "Both signers would share one custody: put {realm} where the realm's name belongs, such as redoubt-{realm}",
    );
  const [consumer, enterprise] = REALMS.map((realm) => named(members, realm));
  return { consumer: consumer ?? {}, enterprise: enterprise ?? {} };
}

/** Whether a cloud holds the keys of any realm: no gateway stands before one yet. */
export function isInCloud(custody: CustodyMembers): boolean {
  return REALMS.some((realm) => {
    const { custody: one } = custody[realm];
    return isJsonObject(one) && CLOUD_CUSTODY.some((kind) => kind === one["kind"]);
  });
}

function pkcs11Members(
  context: Pick<CommandContext, "typedIn">,
  { pkcs11Module, pkcs11Token, pkcs11PinFile, pkcs11Env = [] }: Omit<CustodyOptions, "custody">,
): JsonObject {
  if (pkcs11Module === undefined || pkcs11Token === undefined || pkcs11PinFile === undefined)
    throw optionError(
      "--custody pkcs11 needs --pkcs11-module, --pkcs11-token and --pkcs11-pin-file",
    );
  const environment = pkcs11Env.map((text) => {
    const at = text.indexOf("=");
    if (at < 1) throw optionError(`--pkcs11-env ${text}: expected NAME=value`);
    return [text.slice(0, at), text.slice(at + 1)] as const;
  });
  return {
    custody: {
      kind: "pkcs11",
      module: fileArgument(context, pkcs11Module),
      tokenLabel: pkcs11Token,
      pinFile: fileArgument(context, pkcs11PinFile),
    },
    custodyNeeds: { environment: Object.fromEntries(environment) },
  };
}

function readMembers(path: string): JsonObject {
  try {
    const members = parseJsonObject(readInput(path, MAX_FILE_BYTES));
    const other = Object.keys(members).find((name) => !MEMBERS.includes(name));
    if (other === undefined && "custody" in members) return members;
    throw optionError(`${path}: expected the members custody and custodyNeeds alone`);
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw new ServiceError("ERR_OPTION", `${path} is no JSON object: ${cause.message}`, { cause });
  }
}

function named(members: JsonObject, realm: Realm): JsonObject {
  return Object.fromEntries(
    Object.entries(members).map(([name, value]) => [name, withRealm(value, realm)]),
  );
}

function withRealm(value: JsonValue, realm: Realm): JsonValue {
  if (typeof value === "string") return value.replaceAll("{realm}", realm);
  if (Array.isArray(value)) return value.map((one) => withRealm(one, realm));
  return isJsonObject(value) ? named(value, realm) : value;
}

import { resolve } from "node:path";
import { configError, MemberReader } from "@redoubt/base";
import type { CustodyConfig } from "./custody-config.ts";
import type { CustodyLabel } from "./custody.ts";
import { isJsonObject } from "@redoubt/verify/json";

/** What custody's own software needs of the machine. A launcher lets this through, and nothing else. */
export interface CustodyNeeds {
  /** Exactly these variables, with exactly these values; nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  /** Files or folders to be read besides those that `custody` names. */
  readonly reads: readonly string[];
}

export interface CustodySettings {
  readonly custody: CustodyConfig;
  readonly custodyNeeds: CustodyNeeds;
}

const MAX_VARIABLES = 32;
const MAX_READS = 16;
const MAX_VALUE = 4096;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
const VALUE = /^[^\0]+$/;
// THREAT-33: these variables decide which code runs in the process that signs. The size of the thread pool is harmless.
const RUN_TIME =
  /^(?:NODE_|LD_|DYLD_|UV_(?!THREADPOOL_SIZE$)|OPENSSL_|SSL_|MALLOC_|GLIBC_|PATH$|LANG$|ENV$|IFS$)/i;

/** One machine without an HSM: sealed files, their passphrase beside them, and labelled so. */
export const PLAIN_FILES: CustodyConfig = { kind: "file", passphrase: "beside" };
const NO_NEEDS: CustodyNeeds = { environment: {}, reads: [] };

/** @throws ServiceError `ERR_CONFIG`, `ERR_REQUEST_MEMBER` */
export function readCustodyNeeds(from: MemberReader): CustodyNeeds {
  if (!from.has("custodyNeeds")) return NO_NEEDS;
  const needs = from.object("custodyNeeds");
  const environment = needs.has("environment")
    ? readEnvironment(needs.rawObject("environment"))
    : {};
  const reads = needs.has("reads") ? needs.strings("reads", MAX_READS, MAX_VALUE) : [];
  needs.done();
  return { environment, reads };
}

function readEnvironment(object: ReturnType<MemberReader["rawObject"]>): Record<string, string> {
  const names = Object.keys(object);
  if (names.length > MAX_VARIABLES) throw problem(`${MAX_VARIABLES} variables at most`);
  const reader = new MemberReader(object, "custodyNeeds.environment");
  return Object.fromEntries(
    names.map((name) => {
      if (!VARIABLE.test(name) || RUN_TIME.test(name))
        throw problem(`${name.slice(0, 64)} is not for custody to set`);
      return [name, reader.string(name, MAX_VALUE, VALUE)];
    }),
  );
}

function problem(message: string): Error {
  return configError(`config: custodyNeeds.environment: ${message}`);
}

/** How key records and `status` name this custody. */
export function custodyLabel(custody: CustodyConfig): CustodyLabel {
  switch (custody.kind) {
    case "file":
      return custody.passphrase === "beside" ? "plain-file" : "sealed-file";
    case "pkcs11":
      return "pkcs11";
    case "aws-kms":
    case "azure-keyvault":
    case "google-kms":
      return "kms";
  }
}

export interface CustodyLaunch {
  readonly environment: Readonly<Record<string, string>>;
  /** Absolute. */
  readonly reads: readonly string[];
  /** Whether native code is loaded; the process gives the permission back once it is. */
  readonly addons: boolean;
}

/** What a launcher gives the process for its custody, and no more. `root` is where that process runs. */
export function custodyLaunch(
  { custody, custodyNeeds }: CustodySettings,
  root: string,
): CustodyLaunch {
  const { environment, reads } = custodyNeeds;
  return {
    environment,
    reads: [...namedFiles(custody), ...reads].map((path) => resolve(root, path)),
    addons: custody.kind === "pkcs11",
  };
}

function namedFiles(custody: CustodyConfig): readonly string[] {
  switch (custody.kind) {
    case "file":
      return custody.passphrase === "beside" ? [] : [custody.passphrase.file];
    case "pkcs11":
      return [custody.module, custody.pinFile];
    case "azure-keyvault": {
      const { identity } = custody.settings;
      const path = isJsonObject(identity) ? identity["tokenFilePath"] : undefined;
      return typeof path === "string" ? [path] : [];
    }
    case "aws-kms":
    case "google-kms":
      return [];
  }
}

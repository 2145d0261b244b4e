import {
  configError,
  ConfigReader,
  MemberReader,
  type ServiceError,
  callerPattern,
} from "@redoubt/base";
import { parseVerifierKey, SIGNATURE_TYPE, type VerifierKey } from "@redoubt/tlog";
import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";

/** One issuance log: who may write it, and over which connection. */
export interface LogConfig {
  readonly log: string;
  readonly writer: VerifierKey;
  /** The caller whose commits are taken: `signer-<realm>`, or `broker`. */
  readonly caller: string;
  /** The operator ended it (docs/spec/logs.md §4): it is read, and nothing is added. */
  readonly isClosed: boolean;
}

export interface Config {
  readonly org: string;
  readonly callers: readonly string[];
  /** Origin of the registry log. */
  readonly registry: string;
  /** All keys that the registry ever had, newest first; empty as long as it has its first one. */
  readonly registryKeys: readonly VerifierKey[];
  readonly logs: readonly LogConfig[];
  readonly operator: VerifierKey;
  readonly witness: { readonly url: URL; readonly key: VerifierKey };
}

const ORIGIN = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/;
const CALLER = callerPattern(["operator", "monitor", "publisher", "broker"], ["signer", "issuer"]);
const MAX_LOGS = 256;
const MAX_REGISTRY_KEYS = 64;

/** @throws ServiceError `ERR_CONFIG` that names every problem at once */
export function parseConfig(json: JsonObject | Uint8Array): Config {
  const config = new ConfigReader(json, "config");
  const org = config.attempt((from) => from.string("org", 200, ORIGIN));
  const callers = config.attempt(readCallers);
  const registry = config.attempt((from) => from.string("registry", 256, ORIGIN));
  const registryKeys = config.attempt((from) => readRegistryKeys(from, registry)) ?? [];
  const logs = readLogs(config);
  for (const found of contradictions(org, registry, callers, logs))
    config.attempt(() => {
      throw problem(found);
    });
  return config.finish<Config>({
    org,
    callers,
    registry,
    registryKeys,
    logs,
    operator: config.attempt((from) => readKey(from, "operator", SIGNATURE_TYPE.ed25519)),
    witness: config.attempt((from) => readWitness(from.object("witness"))),
  });
}

/** docs/spec/logs.md §4: a new key continues the registry's tree; what the former keys signed stays valid. */
function readRegistryKeys(from: MemberReader, registry?: string): readonly VerifierKey[] {
  if (!from.has("registryKeys")) return [];
  const keys = from.strings("registryKeys", MAX_REGISTRY_KEYS).map(parseVerifierKey);
  if (!keys.every(({ name, type }) => name === registry && type === SIGNATURE_TYPE.ed25519))
    throw problem("registryKeys: must be Ed25519 verifier keys named as the registry");
  return keys;
}

function readLogs(config: ConfigReader): readonly LogConfig[] {
  const values = config.attempt((from) => from.array("logs", MAX_LOGS)) ?? [];
  return values.flatMap((value, i) => {
    const log = config.attempt(() => readLog(value, `config logs[${i}]`));
    return log ? [log] : [];
  });
}

function readCallers(reader: MemberReader): readonly string[] {
  const callers = reader.strings("callers", 64, 64);
  for (const caller of callers)
    if (!CALLER.test(caller)) throw problem(`callers: ${caller} is not like ${CALLER.source}`);
  if (new Set(callers).size !== callers.length) throw problem("callers: one is named twice");
  return callers;
}

function readLog(value: JsonValue, what: string): LogConfig {
  if (!isJsonObject(value)) throw problem(`${what}: must be an object`);
  const reader = new MemberReader(value, what);
  const log = reader.string("log", 240, ORIGIN);
  const writer = readKey(reader, "writer", SIGNATURE_TYPE.ed25519);
  const caller = reader.string("caller", 64, /^(?:signer-|broker$)/);
  const isClosed = reader.has("closed") && reader.boolean("closed");
  reader.done();
  // docs/spec/logs.md §3: the key's name says which log it writes, so that one cannot be used for another.
  if (writer.name !== `${log}/writer`) throw problem(`${what}: writer must be named ${log}/writer`);
  return { log, writer, caller, isClosed };
}

function readWitness(reader: MemberReader): Config["witness"] {
  const url = new URL(reader.string("url", 512, /^http:\/\/[^?#]+$/));
  const key = readKey(reader, "vkey", SIGNATURE_TYPE.cosignature);
  reader.done();
  return { url, key };
}

function readKey(reader: MemberReader, name: string, type: VerifierKey["type"]): VerifierKey {
  const key = parseVerifierKey(reader.string(name, 512));
  if (key.type !== type) throw problem(`${name}: must be a verifier key of type ${type}`);
  return key;
}

function contradictions(
  org: string | undefined,
  registry: string | undefined,
  callers: readonly string[] | undefined,
  logs: readonly LogConfig[],
): string[] {
  const found: string[] = [];
  if (org && registry && registry !== `${org}/registry`)
    found.push(`registry: must be ${org}/registry`);
  const origins = new Set(registry ? [registry] : []);
  for (const { log, caller } of logs) {
    if (origins.has(log)) found.push(`logs: ${log} is named twice`);
    origins.add(log);
    if (callers && !callers.includes(caller)) found.push(`logs: ${caller} is not one of callers`);
  }
  return found;
}

function problem(message: string): ServiceError {
  return configError(message);
}

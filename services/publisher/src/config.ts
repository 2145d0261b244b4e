import { isAbsolute, normalize } from "node:path";
import { errorLine, MemberReader, ServiceError } from "@redoubt/base";
import { parseVerifierKey, type VerifierKey } from "@redoubt/tlog";
import { JsonError, parseJsonObject, type JsonObject } from "@redoubt/verify/json";

export interface PublisherConfig {
  readonly port: number;
  readonly registry: { readonly log: string; readonly vkey: VerifierKey };
  readonly operator: VerifierKey;
  /** Token endpoint of each realm; may hold `{tenantid}`. */
  readonly tokenEndpoints: ReadonlyMap<string, string>;
  /** Where the ledger publishes its logs, below the data folder. */
  readonly publishedFolder: string;
}

const REALM = /^[a-z][a-z0-9-]{0,31}$/;
const MAX_REALMS = 64;

/** @throws ServiceError `ERR_CONFIG` that names every problem at once */
export function parseConfig(bytes: Uint8Array): PublisherConfig {
  const problems: string[] = [];
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      problems.push(errorLine(error));
      return undefined;
    }
  };
  const reader = new MemberReader(attempt(() => parseObject(bytes)) ?? {}, "config");
  attempt(() => reader.integer("v", 1, 1));
  const port = attempt(() => reader.integer("port", 0, 65_535));
  const registry = attempt(() => readRegistry(reader.object("registry")));
  const operator = attempt(() => parseVerifierKey(reader.string("operator")));
  const tokenEndpoints = attempt(() => readEndpoints(reader.rawObject("tokenEndpoints")));
  const publishedFolder = attempt(() => readFolder(reader.string("publishedFolder")));
  attempt(() => reader.done());
  if (
    problems.length > 0 ||
    port === undefined ||
    !registry ||
    !operator ||
    !tokenEndpoints ||
    publishedFolder === undefined
  )
    throw refusal(problems.join("; "));
  return { port, registry, operator, tokenEndpoints, publishedFolder };
}

function parseObject(bytes: Uint8Array): JsonObject {
  try {
    return parseJsonObject(bytes);
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw new ServiceError("ERR_CONFIG", "config: not a strict JSON object", { cause });
  }
}

function readRegistry(reader: MemberReader): PublisherConfig["registry"] {
  const log = reader.string("log", 256);
  const vkey = parseVerifierKey(reader.string("vkey"));
  reader.done();
  if (vkey.name !== log) throw refusal(`config: registry vkey must be named ${log}`);
  return { log, vkey };
}

function readEndpoints(object: JsonObject): ReadonlyMap<string, string> {
  const entries = Object.entries(object);
  if (entries.length > MAX_REALMS) throw refusal("config: tokenEndpoints has too many realms");
  return new Map(
    entries.map(([realm, template]) => {
      const isUrl =
        typeof template === "string" &&
        /^https?:\/\/[^\s?#@\\]+$/.test(template) &&
        URL.canParse(template.replace("{tenantid}", ""));
      if (!REALM.test(realm) || !isUrl)
        throw refusal("config: tokenEndpoints must give each realm an http or https URL");
      return [realm, template];
    }),
  );
}

function readFolder(folder: string): string {
  if (isAbsolute(folder) || normalize(folder) !== folder || folder.startsWith(".."))
    throw refusal("config: publishedFolder must be a plain path below the data folder");
  return folder;
}

function refusal(problem: string): ServiceError {
  return new ServiceError("ERR_CONFIG", problem);
}

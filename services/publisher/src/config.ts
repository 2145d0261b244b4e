import { isAbsolute, normalize } from "node:path";
import { configError, ConfigReader, REALM } from "@redoubt/base";
import { readHttpPlaces, type HttpPlaces } from "@redoubt/http";
import { readEd25519Key, readPinnedRegistry, type PinnedRegistry } from "@redoubt/registry";
import type { VerifierKey } from "@redoubt/tlog";
import type { JsonObject } from "@redoubt/verify/json";

export interface PublisherConfig {
  readonly http: HttpPlaces;
  readonly registry: PinnedRegistry;
  readonly operator: VerifierKey;
  /** Token endpoint of each realm; may hold `{tenantid}`. null, said aloud, is a cluster's realm: it has none. */
  readonly tokenEndpoints: ReadonlyMap<string, string | null>;
  /** Origin of the sign-in pages of each realm whose people sign in. */
  readonly loginOrigins: ReadonlyMap<string, string>;
  /** Where the ledger publishes its logs, below the data folder. */
  readonly publishedFolder: string;
}

const MAX_REALMS = 64;

/** @throws ServiceError `ERR_CONFIG` that names every problem at once */
export function parseConfig(bytes: Uint8Array): PublisherConfig {
  const config = new ConfigReader(bytes, "config");
  return config.finish<PublisherConfig>({
    http: config.attempt((from) => readHttpPlaces(from.object("http"))),
    registry: config.attempt((from) => readPinnedRegistry(from.object("registry"))),
    operator: config.attempt((from) => readEd25519Key(from, "operator")),
    tokenEndpoints: config.attempt((from) => readEndpoints(from.rawObject("tokenEndpoints"))),
    // Configurations from before there were people do not speak of them.
    loginOrigins: config.attempt((from) =>
      from.has("loginOrigins") ? readOrigins(from.rawObject("loginOrigins")) : new Map(),
    ),
    publishedFolder: config.attempt((from) => readFolder(from.string("publishedFolder"))),
  });
}

function readEndpoints(object: JsonObject): ReadonlyMap<string, string | null> {
  const entries = Object.entries(object);
  if (entries.length > MAX_REALMS) throw configError("config: tokenEndpoints has too many realms");
  return new Map(
    entries.map(([realm, template]) => {
      if (!REALM.test(realm) || !isEndpoint(template))
        throw configError(
          "config: tokenEndpoints must give each realm an http or https URL, or null for a cluster's",
        );
      return [realm, template];
    }),
  );
}

function readOrigins(object: JsonObject): ReadonlyMap<string, string> {
  const entries = Object.entries(object);
  if (entries.length > MAX_REALMS) throw configError("config: loginOrigins has too many realms");
  return new Map(
    entries.map(([realm, origin]) => {
      if (!REALM.test(realm) || typeof origin !== "string" || URL.parse(origin)?.origin !== origin)
        throw configError("config: loginOrigins must give each realm an http or https origin");
      return [realm, origin];
    }),
  );
}

function isEndpoint(template: unknown): template is string | null {
  if (template === null) return true;
  return (
    typeof template === "string" &&
    /^https?:\/\/[^\s?#@\\]+$/.test(template) &&
    URL.canParse(template.replace("{tenantid}", ""))
  );
}

function readFolder(folder: string): string {
  if (isAbsolute(folder) || normalize(folder) !== folder || folder.startsWith(".."))
    throw configError("config: publishedFolder must be a plain path below the data folder");
  return folder;
}

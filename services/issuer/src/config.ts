import { configError, ConfigReader, type MemberReader, UUID, REALM } from "@redoubt/base";
import { readHttpPlaces, type HttpPlaces } from "@redoubt/http";
import { readEd25519Key, readPinnedRegistry, type PinnedRegistry } from "@redoubt/registry";
import type { VerifierKey } from "@redoubt/tlog";
import { MONITOR_LIMITS } from "@redoubt/wire";
import { readPeople, type PeopleConfig } from "./login/people-config.ts";

export interface IssuerConfig {
  readonly realm: string;
  readonly http: HttpPlaces;
  /** Issuer URL; holds `{tenantid}` exactly where `tenant` is null. */
  readonly issuer: string;
  /** URL of the token endpoint, with `{tenantid}` likewise; its path is what is served. */
  readonly tokenEndpoint: string;
  readonly tenant: string | null;
  readonly callers: readonly string[];
  readonly registry: PinnedRegistry;
  /** The first operator, whose statements count until a root names another. */
  readonly operator: VerifierKey;
  /** Which of several processes of this realm, each with a folder of its own, this is; 1 for the only one. */
  readonly replica: number;
  /** Lifetime asked for each token; the signer must allow it. */
  readonly maxTtlSeconds: number;
  /** Where the realm's people sign in; null where none do. */
  readonly people: PeopleConfig | null;
}

const CALLERS: readonly string[] = ["operator"];
const PLACEHOLDER = "{tenantid}";
const NIL_TENANT = "00000000-0000-0000-0000-000000000000";

/** @throws ServiceError `ERR_CONFIG` that names every problem at once */
export function parseConfig(bytes: Uint8Array): IssuerConfig {
  const config = new ConfigReader(bytes, "config");
  const issuer = config.attempt((from) => from.string("issuer"));
  // `null` is said aloud: the path then names the tenant.
  const tenant = config.attempt((from) =>
    from.isNull("tenant") ? null : from.string("tenant", 36, UUID),
  );
  const tokenEndpoint = config.attempt((from) => from.string("tokenEndpoint"));
  config.attempt(() => checkTemplate("issuer", issuer ?? "", tenant === null));
  config.attempt(() => checkTemplate("tokenEndpoint", tokenEndpoint ?? "", tenant === null));
  return config.finish<IssuerConfig>({
    realm: config.attempt((from) => from.string("realm", 32, REALM)),
    http: config.attempt((from) => readHttpPlaces(from.object("http"))),
    issuer,
    tokenEndpoint,
    tenant,
    // `null` is said aloud: then all who come through a proxy have its address, and wait for each other's failures.
    callers: config.attempt(readCallers),
    registry: config.attempt((from) => readPinnedRegistry(from.object("registry"))),
    operator: config.attempt((from) => readEd25519Key(from, "operator")),
    // Only where there are several do configurations speak of it.
    replica: config.attempt((from) =>
      from.has("replica") ? from.integer("replica", 1, MONITOR_LIMITS.replicas) : 1,
    ),
    // ARCHITECTURE §3.4: tokens live an hour at most.
    maxTtlSeconds: config.attempt((from) => from.integer("maxTtlSeconds", 60, 3600)),
    // Configurations from before there were people do not speak of them.
    people: config.attempt((from) =>
      from.has("people") && !from.isNull("people") ? readPeople(from.object("people")) : null,
    ),
  });
}

function readCallers(reader: MemberReader): readonly string[] {
  const callers = reader.strings("callers", CALLERS.length, 64);
  if (!callers.every((caller) => CALLERS.includes(caller)))
    throw configError(`config: callers must be of ${CALLERS.join(", ")}`);
  return callers;
}

// RFC 8414 §2: no query, no fragment. A template with a fixed tenant, or the reverse, would mix up issuers.
function checkTemplate(member: string, template: string, isTenantInPath: boolean): void {
  const [before = "", after, more] = template.split(PLACEHOLDER);
  const isShared = after !== undefined;
  const filled = `${before}${isShared ? NIL_TENANT : ""}${after ?? ""}`;
  const isUrl = /^https?:\/\/[^\s{}?#@\\]+$/.test(filled) && URL.canParse(filled);
  if (!isUrl || more !== undefined)
    throw configError(`config: ${member} must be an http or https URL`);
  if (isShared !== isTenantInPath)
    throw configError(`config: ${member} must hold ${PLACEHOLDER} exactly where tenant is null`);
}

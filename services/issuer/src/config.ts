import { configError, ConfigReader, type MemberReader, UUID, REALM } from "@redoubt/base";
import { isAddressRange, type Proxies } from "@redoubt/http";
import { readEd25519Key, readPinnedRegistry, type PinnedRegistry } from "@redoubt/registry";
import type { VerifierKey } from "@redoubt/tlog";

export interface IssuerConfig {
  readonly realm: string;
  readonly port: number;
  /** Issuer URL; holds `{tenantid}` exactly where `tenant` is null. */
  readonly issuer: string;
  readonly tenant: string | null;
  /** Those in front of this port; null where clients connect to it themselves. */
  readonly proxies: Proxies | null;
  readonly callers: readonly string[];
  readonly registry: PinnedRegistry;
  /** The first operator, whose statements count until a root names another. */
  readonly operator: VerifierKey;
  /** Lifetime asked for each token; the signer must allow it. */
  readonly maxTtlSeconds: number;
}

const CALLERS: readonly string[] = ["operator"];
const MAX_PROXIES = 64;
const MAX_HOPS = 8;
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
  config.attempt(() => checkTemplate(issuer ?? "", tenant === null));
  return config.finish<IssuerConfig>({
    realm: config.attempt((from) => from.string("realm", 32, REALM)),
    port: config.attempt((from) => from.integer("port", 0, 65_535)),
    issuer,
    tenant,
    // `null` is said aloud: then all who come through a proxy have its address, and wait for each other's failures.
    proxies: config.attempt((from) =>
      from.isNull("proxies") ? null : readProxies(from.object("proxies")),
    ),
    callers: config.attempt(readCallers),
    registry: config.attempt((from) => readPinnedRegistry(from.object("registry"))),
    operator: config.attempt((from) => readEd25519Key(from, "operator")),
    // ARCHITECTURE §3.4: tokens live an hour at most.
    maxTtlSeconds: config.attempt((from) => from.integer("maxTtlSeconds", 60, 3600)),
  });
}

function readCallers(reader: MemberReader): readonly string[] {
  const callers = reader.strings("callers", CALLERS.length, 64);
  if (!callers.every((caller) => CALLERS.includes(caller)))
    throw configError(`config: callers must be of ${CALLERS.join(", ")}`);
  return callers;
}

// THREAT-39: who is named here may say where a request came from.
function readProxies(reader: MemberReader): Proxies {
  const addresses = reader.strings("addresses", MAX_PROXIES, 64);
  const hops = reader.integer("hops", 1, MAX_HOPS);
  reader.done();
  if (addresses.length === 0 || !addresses.every(isAddressRange))
    throw configError("config: proxies addresses must be IP addresses or CIDR ranges of them");
  return { addresses, hops };
}

// RFC 8414 §2: no query, no fragment. A template with a fixed tenant, or the reverse, would mix up issuers.
function checkTemplate(issuer: string, isTenantInPath: boolean): void {
  const [before = "", after, more] = issuer.split(PLACEHOLDER);
  const isShared = after !== undefined;
  const filled = `${before}${isShared ? NIL_TENANT : ""}${after ?? ""}`;
  const isUrl = /^https?:\/\/[^\s{}?#@\\]+$/.test(filled) && URL.canParse(filled);
  if (!isUrl || more !== undefined)
    throw configError("config: issuer must be an http or https URL");
  if (isShared !== isTenantInPath)
    throw configError(`config: issuer must hold ${PLACEHOLDER} exactly where tenant is null`);
}

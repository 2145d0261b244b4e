import { errorLine, MemberReader, ServiceError } from "@redoubt/base";
import { JsonError, parseJsonObject, type JsonObject } from "@redoubt/verify/json";

export interface IssuerConfig {
  readonly realm: string;
  readonly port: number;
  /** Issuer URL; holds `{tenantid}` exactly where `tenant` is null. */
  readonly issuer: string;
  readonly tenant: string | null;
  readonly callers: readonly string[];
  /** Lifetime asked for each token; the signer must allow it. */
  readonly maxTtlSeconds: number;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const CALLERS: readonly string[] = ["operator"];
const PLACEHOLDER = "{tenantid}";
const NIL_TENANT = "00000000-0000-0000-0000-000000000000";

/** @throws ServiceError `ERR_CONFIG` that names every problem at once */
export function parseConfig(bytes: Uint8Array): IssuerConfig {
  const problems: string[] = [];
  const attempt = <T>(read: () => T, otherwise: T): T => {
    try {
      return read();
    } catch (error) {
      problems.push(errorLine(error));
      return otherwise;
    }
  };
  const { tenant: written, ...others } = attempt(() => parseObject(bytes), {});
  // `null` is said aloud: the path then names the tenant.
  const named = written === undefined || written === null ? {} : { tenant: written };
  const reader = new MemberReader({ ...others, ...named }, "config");
  attempt(() => reader.integer("v", 1, 1), 1);
  const config: IssuerConfig = {
    realm: attempt(() => reader.string("realm", 32, /^[a-z][a-z0-9-]{0,31}$/), ""),
    port: attempt(() => reader.integer("port", 0, 65_535), 0),
    issuer: attempt(() => reader.string("issuer"), ""),
    tenant: written === null ? null : attempt(() => reader.string("tenant", 36, UUID), ""),
    callers: attempt(() => readCallers(reader), []),
    // ARCHITECTURE §3: tokens live an hour at most.
    maxTtlSeconds: attempt(() => reader.integer("maxTtlSeconds", 60, 3600), 60),
  };
  attempt(() => checkTemplate(config), undefined);
  attempt(() => reader.done(), undefined);
  if (problems.length > 0) throw new ServiceError("ERR_CONFIG", problems.join("; "));
  return config;
}

function parseObject(bytes: Uint8Array): JsonObject {
  try {
    return parseJsonObject(bytes);
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw new ServiceError("ERR_CONFIG", "config: not a strict JSON object", { cause });
  }
}

function readCallers(reader: MemberReader): readonly string[] {
  const callers = reader.strings("callers", CALLERS.length, 64);
  if (!callers.every((caller) => CALLERS.includes(caller)))
    throw new ServiceError("ERR_CONFIG", `config: callers must be of ${CALLERS.join(", ")}`);
  return callers;
}

// RFC 8414 §2: no query, no fragment. A template with a fixed tenant, or the reverse, would mix up issuers.
function checkTemplate({ issuer, tenant }: IssuerConfig): void {
  const [before = "", after, more] = issuer.split(PLACEHOLDER);
  const isShared = after !== undefined;
  const filled = `${before}${isShared ? NIL_TENANT : ""}${after ?? ""}`;
  const isUrl = /^https?:\/\/[^\s{}?#@\\]+$/.test(filled) && URL.canParse(filled);
  if (!isUrl || more !== undefined)
    throw new ServiceError("ERR_CONFIG", "config: issuer must be an http or https URL");
  if (isShared !== (tenant === null))
    throw new ServiceError(
      "ERR_CONFIG",
      `config: issuer must hold ${PLACEHOLDER} exactly where tenant is null`,
    );
}

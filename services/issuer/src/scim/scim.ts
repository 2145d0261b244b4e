import { hash } from "node:crypto";
import { errorCode, ServiceError, UUID } from "@redoubt/base";
import { singleHeader, HttpError, type HttpAnswer, type HttpRequest } from "@redoubt/http";
import { StoreError, type PeopleStore } from "@redoubt/store";
import type { TenantPath } from "../login/login-place.ts";
import { serviceProviderConfig, USER, userSchema, userType } from "./discovery.ts";
import { listOf } from "./resource.ts";
import { ScimError, scimAnswer, scimFailure } from "./scim-error.ts";
import type { ScimUsers } from "./users.ts";

export interface ScimParts {
  readonly users: ScimUsers;
  readonly store: Pick<PeopleStore, "scimTokens">;
  /** Of the token endpoint: directories are programs. */
  readonly origin: string;
  readonly refused: (fields: {
    readonly requestId: string;
    readonly tenant: string;
    readonly code: string;
  }) => void;
}

const ROOT = "/scim/v2";
const TOKEN = /^bearer ([\w-]{20,128})$/i;

/** SCIM 2.0 (RFC 7643, RFC 7644): a directory provisions the people of one tenant. */
export class Scim {
  readonly #parts: ScimParts;

  constructor(parts: ScimParts) {
    this.#parts = parts;
  }

  /** Undefined for a path of somebody else. */
  async answer(request: HttpRequest, place: TenantPath): Promise<HttpAnswer | undefined> {
    if (!place.path.startsWith(`${ROOT}/`)) return undefined;
    const { tenant } = place;
    try {
      await this.#authenticate(request, tenant);
      return await this.#route(request, place);
    } catch (cause) {
      const error = cause instanceof ServiceError ? scimErrorOf(cause) : cause;
      this.#parts.refused({ requestId: request.id, tenant, code: errorCode(error) });
      return failureOf(error);
    }
  }

  /** THREAT-34: unknown, expired and of another tenant look alike. */
  async #authenticate(request: HttpRequest, tenant: string): Promise<void> {
    const [, token] = TOKEN.exec(singleHeader(request, "authorization") ?? "") ?? [];
    const known =
      token === undefined
        ? undefined
        : await this.#parts.store.scimTokens.find(hash("sha256", token, "buffer"));
    if (known?.tenant !== tenant)
      throw new ScimError("ERR_SCIM_TOKEN", "A token of this tenant is needed");
    // THREAT-36: its connection has one of its own places now.
    request.promote(`scim:${tenant}`);
  }

  #route(
    request: HttpRequest,
    { tenant, mount, path }: TenantPath,
  ): HttpAnswer | Promise<HttpAnswer> {
    const { users, origin } = this.#parts;
    const base = `${origin}${mount}${ROOT}`;
    const [kind = "", id, ...more] = path.slice(ROOT.length + 1).split("/");
    if (more.length > 0) throw unknown();
    if (kind === "Users") {
      if (id === undefined) return users.all(request, { tenant, base });
      if (!UUID.test(id)) throw unknown();
      return users.one(request, { tenant, base, id });
    }
    if (request.method !== "GET")
      throw new ScimError("ERR_SCIM_METHOD", "Only people can be provisioned");
    return scimAnswer(200, discover(kind, id, base));
  }
}

function discover(kind: string, id: string | undefined, base: string): object {
  const type = userType(base);
  const schema = userSchema(base);
  if (kind === "ServiceProviderConfig" && id === undefined) return serviceProviderConfig(base);
  if (kind === "ResourceTypes" && id === undefined) return listOf([type], { total: 1 });
  if (kind === "ResourceTypes" && id === "User") return type;
  if (kind === "Schemas" && id === undefined) return listOf([schema], { total: 1 });
  if (kind === "Schemas" && id === USER) return schema;
  // Directories look for groups also where none are provisioned.
  if (kind === "Groups" && id === undefined) return listOf([], { total: 0 });
  throw unknown();
}

function unknown(): ScimError {
  return new ScimError("ERR_SCIM_UNKNOWN", "There is no such resource");
}

/** A directory waits for hours after a 5xx: only what is no fault of the request is one. */
function failureOf(known: unknown): HttpAnswer {
  if (known instanceof ScimError) return known.answer();
  if (known instanceof HttpError) return scimFailure(known.status, known.message, {});
  if (known instanceof StoreError && known.code === "ERR_STORE_VALUE")
    return new ScimError("ERR_SCIM_VALUE", "A text cannot be stored").answer();
  if (known instanceof StoreError)
    return scimFailure(503, "Try again later", { headers: ["retry-after", "5"] });
  throw known;
}

function scimErrorOf(error: ServiceError): Error {
  const { code, message } = error;
  if (code === "ERR_PERSON_DETAILS") return new ScimError("ERR_SCIM_VALUE", message);
  if (code === "ERR_PERSON_TAKEN") return new ScimError("ERR_SCIM_TAKEN", message);
  if (code === "ERR_PERSON_CHANGED")
    return new ScimError("ERR_SCIM_CHANGED", "The person is being changed: try again");
  return code === "ERR_PERSON_UNKNOWN" ? unknown() : error;
}

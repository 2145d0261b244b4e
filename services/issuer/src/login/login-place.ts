import { UUID } from "@redoubt/base";
import type { HttpRequest } from "@redoubt/http";

/** Where the people of a realm sign in. */
export interface LoginPlaces {
  /** Origin of all pages, and of what browsers are sent to. */
  readonly loginOrigin: URL;
  /** Template of the token endpoint, whose path ends with `/token`. */
  readonly tokenEndpoint: string;
  /** The realm's only tenant, or null where the path names it. */
  readonly tenant: string | null;
}

/** A path of a realm, taken apart. */
export interface TenantPath {
  readonly tenant: string;
  /** The tenant's part: `/<tenant>/oauth2/v2.0`. */
  readonly mount: string;
  /** The rest, which begins with a slash. */
  readonly path: string;
}

const LAST = "/token";
const PLACEHOLDER = "{tenantid}";

/** Finds the tenant in a path; all that a realm serves to its people is beside the token endpoint. */
export class LoginPaths {
  readonly loginOrigin: URL;
  readonly #tenant: string | null;
  readonly #before: string;
  readonly #after: string;

  constructor({ loginOrigin, tokenEndpoint, tenant }: LoginPlaces) {
    if (!tokenEndpoint.endsWith(LAST)) throw new RangeError(`Token endpoint must end with ${LAST}`);
    this.loginOrigin = loginOrigin;
    this.#tenant = tenant;
    const path = tokenEndpoint.replace(/^https?:\/\/[^/]+/, "").slice(0, -LAST.length);
    const [before = "", after = ""] = path.split(PLACEHOLDER);
    this.#before = before;
    this.#after = after;
  }

  mountOf(tenant: string): string {
    return this.#tenant === null ? `${this.#before}${tenant}${this.#after}` : this.#before;
  }

  /** Undefined for what is not of this realm. */
  find({ path }: Pick<HttpRequest, "path">): TenantPath | undefined {
    const tenant = this.#tenant ?? path.slice(this.#before.length, this.#before.length + 36);
    if (!UUID.test(tenant)) return undefined;
    const mount = this.mountOf(tenant);
    const rest = path.slice(mount.length);
    if (!path.startsWith(mount) || !rest.startsWith("/")) return undefined;
    return { tenant, mount, path: rest };
  }

  /** A page's address. */
  url(tenant: string, path: string): string {
    return `${this.loginOrigin.origin}${this.mountOf(tenant)}${path}`;
  }
}

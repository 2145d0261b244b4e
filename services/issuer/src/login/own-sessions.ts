import { hash, randomBytes } from "node:crypto";
import { nowSeconds, type Clock } from "@redoubt/base";
import type { HttpRequest } from "@redoubt/http";
import type { PeopleStore, Person } from "@redoubt/store";
import { parseJsonObject } from "@redoubt/verify/json";
import { cookieLine, readCookie } from "./cookies.ts";

/** What a browser may do on our own pages: see to one's passkeys, or register one. Neither is a sign-in anywhere. */
export type OwnSessionKind = "Account" | "Registration";

export interface OwnSession {
  readonly person: Person;
  /** When it began, in POSIX seconds: a change needs a recent sign-in. */
  readonly since: number;
  /** What the session was opened with. */
  readonly by: string;
}

const SECONDS: Readonly<Record<OwnSessionKind, number>> = { Account: 900, Registration: 600 };
const ID_BYTES = 32;

/** Short sessions of our own pages. They end with the person's standing like every other row of the account. */
export class OwnSessions {
  readonly #store: Pick<PeopleStore, "protocol" | "people">;
  readonly #isSecure: boolean;
  readonly #clock: Clock;

  constructor(
    store: Pick<PeopleStore, "protocol" | "people">,
    options: { readonly isSecure: boolean; readonly clock: Clock },
  ) {
    this.#store = store;
    this.#isSecure = options.isSecure;
    this.#clock = options.clock;
  }

  /** @returns the header that gives it to the browser */
  async begin(
    kind: OwnSessionKind,
    { id: accountId, tenant }: Person,
    by: string,
  ): Promise<string> {
    const secret = randomBytes(ID_BYTES).toString("base64url");
    const since = nowSeconds(this.#clock);
    await this.#store.protocol.upsert({
      kind,
      id: rowId(tenant, secret),
      payload: JSON.stringify({ accountId, since, by }),
      expires: since + SECONDS[kind],
      accountId,
    });
    return this.#cookie(kind, tenant, secret, SECONDS[kind]);
  }

  async find(
    kind: OwnSessionKind,
    tenant: string,
    request: Pick<HttpRequest, "headers">,
  ): Promise<OwnSession | undefined> {
    const secret = readCookie(request.headers.cookie, this.#name(kind, tenant));
    if (secret === undefined) return undefined;
    const row = await this.#store.protocol.find(kind, rowId(tenant, secret));
    if (!row) return undefined;
    const { accountId, since, by } = parseJsonObject(row.payload);
    if (typeof accountId !== "string" || typeof since !== "number" || typeof by !== "string")
      return undefined;
    const person = await this.#store.people.find(tenant, { id: accountId });
    return person?.status === "active" ? { person, since, by } : undefined;
  }

  /** @returns the header that takes it from the browser */
  async end(
    kind: OwnSessionKind,
    tenant: string,
    request: Pick<HttpRequest, "headers">,
  ): Promise<string> {
    const secret = readCookie(request.headers.cookie, this.#name(kind, tenant));
    if (secret !== undefined) await this.#store.protocol.destroy(kind, rowId(tenant, secret));
    return this.#cookie(kind, tenant, "", 0);
  }

  #cookie(kind: OwnSessionKind, tenant: string, value: string, maxAgeSeconds: number): string {
    return cookieLine(this.#name(kind, tenant), value, { isSecure: this.#isSecure, maxAgeSeconds });
  }

  #name(kind: OwnSessionKind, tenant: string): string {
    return `${this.#isSecure ? "__Host-" : ""}${kind.toLowerCase()}-${tenant}`;
  }
}

/** The database holds no secret that a browser could show. */
function rowId(tenant: string, secret: string): string {
  return hash("sha256", `${tenant}/${secret}`, "base64url");
}

import assert from "node:assert/strict";
import type { HttpRequest } from "@redoubt/http";
import type { PeopleStore } from "@redoubt/store";
import type { TestClock } from "@redoubt/testkit";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { Accounts } from "../login/accounts.ts";
import { Scim } from "../scim/scim.ts";
import type { Approvals } from "../login/approvals/approvals.ts";
import { Enrolled } from "./approving.ts";
import { ScimUsers } from "../scim/users.ts";
import { TENANT } from "./system.ts";

export const MOUNT = `/${TENANT}/oauth2/v2.0`;
export const ORIGIN = "https://token.example";

export interface Asking {
  readonly tenant?: string;
  /** Null for no header. */
  readonly authorization?: string | null;
  readonly contentType?: string;
}

export interface Told {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: JsonObject;
  readonly text: string;
}

/** The service of one tenant, asked without a socket. */
export class ScimService {
  readonly accounts: Accounts;
  readonly approvals: Approvals;
  readonly refused: { readonly code: string }[] = [];
  readonly #scim: Scim;
  #token = "";

  constructor(store: PeopleStore, clock: TestClock) {
    this.approvals = new Enrolled().approvals(store, clock);
    this.accounts = new Accounts({
      store,
      clock,
      approvals: this.approvals,
      approvers: () => ({ problem: undefined, hasEnrolment: false }),
      passkeyRemoved: () => undefined,
    });
    this.#scim = new Scim({
      users: new ScimUsers({ accounts: this.accounts, store }),
      store,
      origin: ORIGIN,
      refused: (fields) => this.refused.push(fields),
    });
  }

  static async open(store: PeopleStore, clock: TestClock): Promise<ScimService> {
    const service = new ScimService(store, clock);
    service.#token = (await service.accounts.addScimToken(TENANT, "test", 1)).token;
    return service;
  }

  async ask(method: string, path: string, body?: unknown, asking: Asking = {}): Promise<Told> {
    const { tenant = TENANT, authorization = `Bearer ${this.#token}` } = asking;
    const { contentType = "application/scim+json; charset=utf-8" } = asking;
    const [place = "", query = ""] = path.split("?");
    const request: HttpRequest = {
      method,
      path: `${MOUNT}/scim/v2${place}`,
      query,
      headers: {},
      rawHeaders: [
        ...(authorization === null ? [] : ["Authorization", authorization]),
        ...(body === undefined ? [] : ["Content-Type", contentType]),
      ],
      address: "127.0.0.1",
      id: "r",
      body: Buffer.from(typeof body === "string" ? body : JSON.stringify(body ?? {})),
      promote: () => undefined,
    };
    const answer = await this.#scim.answer(request, {
      tenant,
      mount: MOUNT,
      path: `/scim/v2${place}`,
    });
    assert.ok(answer);
    const text = String(answer.body);
    return {
      status: answer.status,
      headers: answer.headers,
      text,
      body: text === "" ? {} : parseJsonObject(text),
    };
  }

  /** Adds somebody, and tells the id. */
  async add(body: JsonObject): Promise<string> {
    const told = await this.ask("POST", "/Users", body);
    assert.equal(told.status, 201, told.text);
    return idOf(told);
  }

  patch(id: string, ...operations: readonly JsonObject[]): Promise<Told> {
    const schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"];
    return this.ask("PATCH", `/Users/${id}`, { schemas, Operations: [...operations] });
  }
}

export function idOf({ body: { id } }: Told): string {
  assert.ok(typeof id === "string");
  return id;
}

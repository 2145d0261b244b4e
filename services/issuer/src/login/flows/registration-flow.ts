import { readForm, type HttpAnswer, type HttpRequest } from "@redoubt/http";
import type { PassRefusal, PeopleStore } from "@redoubt/store";
import type { JsonObject } from "@redoubt/verify/json";
import type { TenantPath } from "../login-place.ts";
import { hashPass } from "../pass.ts";
import type { OwnSession, OwnSessions } from "../own-sessions.ts";
import { pageAnswer, scriptAnswer, seeOther } from "../page-answer.ts";
import { pages } from "../pages/index.ts";
import { PASS_REFUSED } from "../pages/messages.ts";
import type { PasskeyRegistration, RegisteredBy } from "./passkey-registration.ts";
import { orRetry } from "./refused-ceremony.ts";

export interface RegistrationFlowParts {
  readonly registration: PasskeyRegistration;
  readonly sessions: OwnSessions;
  readonly store: Pick<PeopleStore, "passes" | "people" | "passkeys">;
  /** Why a pass did not work: for the log, never for whoever showed it. */
  readonly passRefused: (tenant: string, why: PassRefusal) => void;
}

/**
 * A pass is exchanged for a few minutes in which its person may register passkeys, and do nothing else. Only a POST
 * spends it: programs that look at links before people do must not (docs/guide/people.md).
 */
export class RegistrationFlow {
  readonly #parts: RegistrationFlowParts;

  constructor(parts: RegistrationFlowParts) {
    this.#parts = parts;
  }

  /** Undefined for a path of somebody else. */
  async answer(
    request: HttpRequest,
    place: TenantPath,
    body: () => JsonObject,
  ): Promise<HttpAnswer | undefined> {
    const { path, tenant, mount } = place;
    if (path === "/register/pass" && request.method === "POST") return this.#spend(request, place);
    if (path !== "/register" && path !== "/register/passkey") return undefined;
    const session = await this.#parts.sessions.find("Registration", tenant, request);
    if (path === "/register" && request.method === "GET")
      return session ? this.#show(session, mount) : pageAnswer(pages.pass({ mount }));
    if (path === "/register/passkey" && request.method === "POST")
      return session
        ? this.#register(session, { request, place, body: body() })
        : scriptAnswer({ location: `${mount}/register` });
    return undefined;
  }

  async #spend(request: HttpRequest, { tenant, mount }: TenantPath): Promise<HttpAnswer> {
    const { store, sessions, passRefused } = this.#parts;
    const secret = readForm(request, { maxParameters: 1 }).get("pass") ?? "";
    const outcome = await store.passes.consume(hashPass(secret));
    const person =
      "pass" in outcome
        ? await store.people.find(tenant, { id: outcome.pass.personId })
        : undefined;
    if (!("pass" in outcome) || person?.status !== "active") {
      passRefused(tenant, "pass" in outcome ? "unknown" : outcome.refusal);
      return pageAnswer(pages.pass({ mount, failure: PASS_REFUSED }), { status: 403 });
    }
    const cookie = await sessions.begin("Registration", person, outcome.pass.purpose);
    return seeOther(`${mount}/register`, [cookie]);
  }

  async #show({ person }: OwnSession, mount: string): Promise<HttpAnswer> {
    const { registration, store } = this.#parts;
    const { length } = await store.passkeys.list(person.id);
    return pageAnswer(
      pages.register({
        mount,
        person: person.displayName ?? person.userName,
        organisation: registration.organisation,
        count: length,
        required: registration.required,
        options: await registration.options(person),
        answerPath: `${mount}/register/passkey`,
      }),
    );
  }

  async #register(
    { person, by }: OwnSession,
    { request, place, body }: Registering,
  ): Promise<HttpAnswer> {
    const { registration, sessions } = this.#parts;
    const { response, name } = body;
    const { missing } = await orRetry(
      registration.verify(person, createdBy(by), {
        response,
        name: typeof name === "string" ? name : "",
      }),
      () => registration.options(person),
    );
    if (missing > 0) return scriptAnswer({ location: `${place.mount}/register` });
    const cookie = await sessions.end("Registration", place.tenant, request);
    return scriptAnswer({ location: `${place.mount}/registered` }, { cookies: [cookie] });
  }
}

interface Registering {
  readonly request: HttpRequest;
  readonly place: TenantPath;
  readonly body: JsonObject;
}

function createdBy(by: string): RegisteredBy {
  if (by === "passkey") return "passkey";
  return by.startsWith("recovery") ? "recovery" : "pass";
}

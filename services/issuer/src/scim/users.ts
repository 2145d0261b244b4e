import { errorCode } from "@redoubt/base";
import { requireContentType, singleHeader, type HttpAnswer, type HttpRequest } from "@redoubt/http";
import type { PeopleStore, Person } from "@redoubt/store";
import { JsonError, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import type { Accounts } from "../login/accounts.ts";
import type { SaidDetails } from "../login/person-details.ts";
import { MAX_RESULTS } from "./discovery.ts";
import { changeAll, draftOf, EMPTY_DRAFT, type Draft } from "./draft.ts";
import { parseFilter, satisfies, type Filter } from "./filter.ts";
import { applyPatch } from "./patch.ts";
import { listOf, locationOf, userResource } from "./resource.ts";
import { ScimError, scimAnswer } from "./scim-error.ts";
import { invalid } from "./values.ts";

export interface ScimUsersParts {
  readonly accounts: Accounts;
  readonly store: Pick<PeopleStore, "people">;
}

interface Place {
  readonly tenant: string;
  readonly base: string;
}

interface OnePlace extends Place {
  readonly id: string;
}

const DEFAULT_COUNT = 100;
const MAX_INDEX = 1_000_000_000;
const MAX_DEPTH = 16;
const ATTEMPTS = 5;

/**
 * People as a directory sees and changes them. It says names, addresses and who is active. It has no way to passes, to
 * passkeys, to administrators, or to a person whom another directory's id is linked with.
 */
export class ScimUsers {
  readonly #parts: ScimUsersParts;

  constructor(parts: ScimUsersParts) {
    this.#parts = parts;
  }

  async all(request: HttpRequest, place: Place): Promise<HttpAnswer> {
    if (request.method === "GET") return this.#list(new URLSearchParams(request.query), place);
    if (request.method !== "POST") throw notThat();
    // A password in it is an attribute like any other that is not kept.
    const draft = withName(changeAll(EMPTY_DRAFT, "add", readBody(request)));
    const { active: isActive, ...details } = draft;
    const given = { source: "scim", isActive } as const;
    const person = await this.#parts.accounts.add(place.tenant, details, given);
    const location = ["location", locationOf(place.base, person.id)];
    return scimAnswer(201, userResource(person, place.base), location);
  }

  async one(request: HttpRequest, place: OnePlace): Promise<HttpAnswer> {
    const { tenant, id, base } = place;
    switch (request.method) {
      case "GET":
        return scimAnswer(200, userResource(await this.#parts.accounts.find(tenant, { id }), base));
      case "PUT": {
        const body = readBody(request);
        return this.#answer(await this.#change(place, (draft) => replaced(draft, body)), base);
      }
      case "PATCH": {
        const body = readBody(request);
        return this.#answer(await this.#change(place, (draft) => applyPatch(draft, body)), base);
      }
      case "DELETE":
        // What a person did stays on record, and a name is not given to somebody else unnoticed.
        await this.#change(place, (draft) => ({ ...draft, active: false }));
        return scimAnswer(204, null);
      default:
        throw notThat();
    }
  }

  #answer(person: Person, base: string): HttpAnswer {
    return scimAnswer(200, userResource(person, base));
  }

  async #list(query: URLSearchParams, { tenant, base }: Place): Promise<HttpAnswer> {
    const startIndex = Math.max(1, readNumber(query, "startIndex", 1));
    const count = Math.min(MAX_RESULTS, Math.max(0, readNumber(query, "count", DEFAULT_COUNT)));
    const filter = query.get("filter") ?? "";
    if (filter.trim() === "") {
      const page = await this.#parts.store.people.list(tenant, { startIndex, count });
      const resources = page.people.map((person) => userResource(person, base));
      return scimAnswer(200, listOf(resources, { total: page.total, startIndex }));
    }
    const found = await this.#find(tenant, parseFilter(filter));
    const shown = found.slice(startIndex - 1, startIndex - 1 + count);
    const resources = shown.map((person) => userResource(person, base));
    return scimAnswer(200, listOf(resources, { total: found.length, startIndex }));
  }

  async #find(tenant: string, filter: Filter): Promise<readonly Person[]> {
    const { people } = this.#parts.store;
    const { id, userName, externalId, email } = filter;
    const [by] = [
      ...(id === undefined ? [] : [{ id }]),
      ...(userName === undefined ? [] : [{ userName }]),
      ...(externalId === undefined ? [] : [{ externalId }]),
    ];
    const candidates = by
      ? [await people.find(tenant, by)]
      : await people.findByEmail(tenant, email?.value ?? "", MAX_RESULTS);
    return candidates
      .filter((person) => person !== undefined)
      .filter((person) => satisfies(person, filter));
  }

  /** Made again from the newest state where somebody else was quicker. */
  async #change(place: OnePlace, edit: (draft: Draft) => Draft): Promise<Person> {
    for (let attempt = 1; ; attempt += 1)
      try {
        // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
        return await this.#changeOnce(place, edit);
      } catch (error) {
        if (errorCode(error) !== "ERR_PERSON_CHANGED" || attempt === ATTEMPTS) throw error;
      }
  }

  async #changeOnce({ tenant, id }: OnePlace, edit: (draft: Draft) => Draft): Promise<Person> {
    const { accounts } = this.#parts;
    let person = await accounts.find(tenant, { id });
    const before = draftOf(person);
    const next = withName(edit(before));
    if (person.isAdministrator)
      throw new ScimError(
        "ERR_SCIM_FORBIDDEN",
        "Administrators are not provisioned: redoubt people",
      );
    checkLink(before, next);
    // First and whatever becomes of the rest: who is to go is gone, also where a name that came with it is taken.
    if (!next.active) {
      await accounts.deactivate(tenant, id);
      person = await accounts.find(tenant, { id });
    }
    const changes = changesOf(before, next);
    if (Object.keys(changes).length > 0) person = await accounts.change(person, changes);
    if (!next.active || before.active) return person;
    await accounts.reactivate(tenant, id);
    return accounts.find(tenant, { id });
  }
}

/** The id in a directory says whose account this is: given once, it leads nobody else here (THREAT-34). */
function checkLink(before: Draft, next: Draft): void {
  if (before.externalId !== null && before.externalId !== next.externalId)
    throw new ScimError("ERR_SCIM_MUTABILITY", "externalId cannot be changed once it is set");
}

function changesOf(before: Draft, next: Draft): Partial<SaidDetails> {
  const { userName, externalId, displayName, givenName, familyName, emails } = next;
  return {
    ...(userName !== before.userName && { userName }),
    ...(externalId !== before.externalId && { externalId }),
    ...(displayName !== before.displayName && { displayName }),
    ...(givenName !== before.givenName && { givenName }),
    ...(familyName !== before.familyName && { familyName }),
    ...(JSON.stringify(emails) !== JSON.stringify(before.emails) && { emails }),
  };
}

/** RFC 7644 §3.5.1; what would bring somebody back, or break a link, has to be said. */
function replaced({ active, externalId }: Draft, body: JsonObject): Draft {
  return changeAll({ ...EMPTY_DRAFT, active, externalId }, "replace", body);
}

function withName(draft: Draft): Draft {
  if (draft.userName === "") throw invalid("userName is required");
  return draft;
}

function readNumber(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name);
  if (text === null || text === "") return otherwise;
  if (!/^-?\d{1,10}$/.test(text)) throw invalid(`${name} is a number`);
  return Math.min(Number(text), MAX_INDEX);
}

function readBody(request: HttpRequest): JsonObject {
  const type = singleHeader(request, "content-type") ?? "";
  // RFC 7644 §3.1; Okta and Entra say either.
  if (!/^application\/scim\+json(?:\s*;|$)/i.test(type))
    requireContentType(request, "application/json");
  try {
    return parseJsonObject(request.body, { maxDepth: MAX_DEPTH });
  } catch (cause) {
    if (cause instanceof JsonError)
      throw new ScimError("ERR_SCIM_SYNTAX", "The body is no JSON object", { cause });
    throw cause;
  }
}

function notThat(): ScimError {
  return new ScimError("ERR_SCIM_METHOD", "This cannot be done here");
}

import { errorCode, ServiceError } from "@redoubt/base";
import { ask, ISSUER, type Answered, type Requester } from "@redoubt/wire";
import { REALMS, type Realm } from "../layout.ts";
import type { Operator } from "../operator.ts";
import { findTenant, type TenantName } from "../tenancy/names.ts";

export interface PeoplePlace {
  readonly realm?: Realm;
  readonly tenant?: string;
}

/** A tenant, and the process that knows its people. */
export interface PeopleOf extends TenantName<Realm> {
  readonly issuer: Requester;
}

/** @throws ServiceError `ERR_OPTION`, `ERR_TENANT_UNKNOWN` */
export async function peopleOf(operator: Operator, place: PeoplePlace): Promise<PeopleOf> {
  const name = findTenant(await operator.readRegistry(), REALMS, place);
  return { ...name, issuer: operator.client(`issuer-${name.realm}`) };
}

export type Shown = Answered<typeof ISSUER.showPerson>;

/** Undefined where there is no such person. */
export async function lookUp(
  { issuer, tenant }: PeopleOf,
  userName: string,
): Promise<Shown | undefined> {
  try {
    return await ask(issuer, ISSUER.showPerson, { tenant, userName });
  } catch (error) {
    if (errorCode(error) === "ERR_PERSON_UNKNOWN") return undefined;
    throw error;
  }
}

/** @throws ServiceError `ERR_PERSON_UNKNOWN` that says what to do */
export async function requirePerson(place: PeopleOf, userName: string): Promise<Shown> {
  const found = await lookUp(place, userName);
  if (found) return found;
  throw new ServiceError(
    "ERR_PERSON_UNKNOWN",
    `No person ${userName} in tenant ${place.tenant}: redoubt people list shows them, people add makes one`,
  );
}

import type { Person } from "@redoubt/store";
import { USER } from "./discovery.ts";

/** RFC 7643 §4.1. @param base address of the service, without a slash at its end */
export function userResource(person: Person, base: string) {
  const { id, userName, externalId, displayName, givenName, familyName, emails } = person;
  const name = { ...textOf({ givenName, familyName }) };
  return {
    schemas: [USER],
    id,
    ...textOf({ externalId }),
    userName,
    ...textOf({ displayName }),
    ...(Object.keys(name).length > 0 && { name }),
    emails,
    active: person.status === "active",
    meta: {
      resourceType: "User",
      created: instant(person.created),
      lastModified: instant(person.updated),
      location: locationOf(base, id),
    },
  };
}

export function locationOf(base: string, id: string): string {
  return `${base}/Users/${id}`;
}

/** RFC 7644 §3.4.2. */
export function listOf(
  resources: readonly object[],
  { total, startIndex = 1 }: { readonly total: number; readonly startIndex?: number },
) {
  return {
    schemas: ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
    totalResults: total,
    startIndex,
    itemsPerPage: resources.length,
    Resources: resources,
  };
}

function textOf(texts: Readonly<Record<string, string | null>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(texts).flatMap(([name, text]) => (text === null ? [] : [[name, text]])),
  );
}

function instant(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

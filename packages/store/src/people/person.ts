import type { Selectable } from "kysely";
import { StoreError } from "../errors.ts";
import type { PeopleTable } from "./tables.ts";

export interface Email {
  readonly value: string;
  readonly type?: string | undefined;
  readonly primary?: boolean | undefined;
}

/** What one who may change a person may change; the status has ways of its own. */
export interface PersonDetails {
  /** Unique in the tenant, whatever its case. */
  readonly userName: string;
  /** Unique in the tenant where there is one. */
  readonly externalId: string | null;
  readonly displayName: string | null;
  readonly givenName: string | null;
  readonly familyName: string | null;
  readonly emails: readonly Email[];
  readonly isAdministrator: boolean;
  readonly onboardedAt: number | null;
}

export interface NewPerson extends PersonDetails {
  /** A UUID, made by the caller. */
  readonly id: string;
  readonly tenant: string;
  readonly status: "active" | "disabled";
  /** 32 random bytes: what an authenticator knows the person by (WebAuthn's user handle). */
  readonly handle: Uint8Array;
  readonly source: "command" | "scim" | "import";
}

export interface Person extends NewPerson {
  readonly created: number;
  readonly updated: number;
  /** Rises with each change; a change names the one that it was made from. */
  readonly version: number;
}

/** One spelling of a name, for its lookup and for its conflict: made here, for each engine lowers letters its own way. */
export function userNameKey(userName: string): string {
  return userName.normalize("NFKC").toLowerCase();
}

export function detailsToRow(details: PersonDetails) {
  const { userName, externalId, displayName, givenName, familyName, onboardedAt } = details;
  return {
    userName,
    userNameKey: userNameKey(userName),
    externalId,
    displayName,
    givenName,
    familyName,
    onboardedAt,
    emails: JSON.stringify(details.emails),
    isAdministrator: Number(details.isAdministrator),
  };
}

/** @throws StoreError `ERR_STORE_CORRUPT` */
export function personOf(row: Selectable<PeopleTable>): Person {
  const { userNameKey: _key, ...rest } = row;
  return { ...rest, emails: parseEmails(row.emails), isAdministrator: row.isAdministrator === 1 };
}

function parseEmails(text: string): readonly Email[] {
  const list = parseList(text);
  if (!list.every(isEmail))
    throw new StoreError("ERR_STORE_CORRUPT", "Store holds no list: emails");
  return list;
}

/** @throws StoreError `ERR_STORE_CORRUPT` */
export function parseTexts(text: string): readonly string[] {
  const list = parseList(text);
  if (!list.every((one) => typeof one === "string"))
    throw new StoreError("ERR_STORE_CORRUPT", "Store holds no list of texts");
  return list;
}

function parseList(text: string): readonly unknown[] {
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list)) return list;
  } catch (cause) {
    throw new StoreError("ERR_STORE_CORRUPT", "Store holds a malformed list", { cause });
  }
  throw new StoreError("ERR_STORE_CORRUPT", "Store holds something else than a list");
}

function isEmail(value: unknown): value is Email {
  if (typeof value !== "object" || value === null) return false;
  if (!("value" in value) || typeof value.value !== "string") return false;
  if ("type" in value && typeof value.type !== "string") return false;
  return !("primary" in value) || typeof value.primary === "boolean";
}

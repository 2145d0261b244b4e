import { userNameKey, type Email, type Person } from "@redoubt/store";
import { matches } from "./emails.ts";
import { ScimError } from "./scim-error.ts";

/** What every person of an answer satisfies. */
export interface Filter {
  readonly userName?: string;
  readonly externalId?: string;
  readonly id?: string;
  readonly email?: Partial<Email> & { readonly value: string };
  readonly active?: boolean;
}

const MAX_FILTER = 1024;
const MAX_TERMS = 8;
const TERM =
  /\s*(username|externalid|id|active|emails(?:\[\s*type\s+eq\s+"([\w-]{1,32})"\s*\])?(?:\.value)?)\s+eq\s+("(?:[^"\\]|\\.)*"|true|false)\s*(and\s|$)/iy;

/**
 * RFC 7644 §3.4.2.2, as far as directories ask: equality, joined by `and`. One of them must name a person.
 *
 * @throws ScimError `ERR_SCIM_FILTER`
 */
export function parseFilter(text: string): Filter {
  if (text.length > MAX_FILTER) throw refused("The filter is too long");
  let filter: Filter = {};
  let at = 0;
  for (let terms = 0; ; terms += 1) {
    if (terms === MAX_TERMS) throw refused("The filter has too many terms");
    TERM.lastIndex = at;
    const found = TERM.exec(text);
    if (!found)
      throw refused(
        "Filters are equalities of userName, externalId, id, active or emails, joined by and",
      );
    const [, name = "", type, quoted = "", end = ""] = found;
    filter = withTerm(filter, { name: name.toLowerCase(), type, value: readValue(quoted) });
    at = TERM.lastIndex;
    if (end === "") break;
  }
  const { active: _, ...names } = filter;
  if (Object.keys(names).length === 0) throw refused("The filter must name a person");
  return filter;
}

interface Term {
  readonly name: string;
  readonly type: string | undefined;
  readonly value: string | boolean;
}

function withTerm(filter: Filter, { name, type, value }: Term): Filter {
  if (name === "active") {
    const active = typeof value === "string" ? value.toLowerCase() === "true" : value;
    return add(filter, "active", { active });
  }
  if (typeof value !== "string") throw refused("This attribute is compared with a text");
  if (name === "username") return add(filter, "userName", { userName: value });
  if (name === "externalid") return add(filter, "externalId", { externalId: value });
  if (name === "id") return add(filter, "id", { id: value });
  return add(filter, "email", { email: { value, ...(type !== undefined && { type }) } });
}

function add(filter: Filter, name: keyof Filter, term: Filter): Filter {
  if (name in filter) throw refused("An attribute is compared once");
  return { ...filter, ...term };
}

function readValue(text: string): string | boolean {
  try {
    const value: unknown = JSON.parse(text.startsWith('"') ? text : text.toLowerCase());
    if (typeof value === "string" || typeof value === "boolean") return value;
  } catch {
    // Said below.
  }
  throw refused("A value of the filter is malformed");
}

function refused(detail: string): ScimError {
  return new ScimError("ERR_SCIM_FILTER", detail);
}

export function satisfies(person: Person, filter: Filter): boolean {
  const { userName, externalId, id, email, active } = filter;
  if (userName !== undefined && userNameKey(person.userName) !== userNameKey(userName))
    return false;
  if (externalId !== undefined && person.externalId !== externalId) return false;
  if (id !== undefined && person.id !== id) return false;
  if (active !== undefined && (person.status === "active") !== active) return false;
  return email === undefined || person.emails.some((one) => matches(one, email));
}

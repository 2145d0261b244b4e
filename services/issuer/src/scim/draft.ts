import type { Email, Person } from "@redoubt/store";
import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import { changeEmails } from "./emails.ts";
import { ScimError } from "./scim-error.ts";
import {
  invalid,
  readFlag,
  textOrNull,
  type AttributePath,
  type Change,
  type PatchOp,
} from "./values.ts";

/** What a directory may say of a person. */
export interface Draft {
  readonly userName: string;
  readonly externalId: string | null;
  readonly displayName: string | null;
  readonly givenName: string | null;
  readonly familyName: string | null;
  readonly emails: readonly Email[];
  readonly active: boolean;
}

export const EMPTY_DRAFT: Draft = {
  userName: "",
  externalId: null,
  displayName: null,
  givenName: null,
  familyName: null,
  emails: [],
  active: true,
};

export function draftOf(person: Person): Draft {
  const { userName, externalId, displayName, givenName, familyName, emails, status } = person;
  const names = { userName, externalId, displayName, givenName, familyName };
  return { ...names, emails, active: status === "active" };
}

const CORE = "urn:ietf:params:scim:schemas:core:2.0:user:";
const PATH = /^([a-z][\w$-]{0,127})(?:\[([^\]]{1,256})\])?(?:\.([a-z$][\w$-]{0,127}))?$/;
const URN = /^urn:[\w.:$-]{1,256}(?:\[[^\]]{1,256}\])?(?:\.[\w$.-]{1,128})?$/;
const MAX_PATH = 512;

/**
 * Undefined for an attribute of an extension, which nobody keeps here.
 *
 * @throws ScimError `ERR_SCIM_PATH`
 */
export function parsePath(text: string): AttributePath | undefined {
  if (text.length > MAX_PATH) throw new ScimError("ERR_SCIM_PATH", "The path is too long");
  // What stands between the quotes of a filter keeps its case.
  const lower = text.replaceAll(/"[^"]*"|[^"]+/g, (piece) =>
    piece.startsWith('"') ? piece : piece.toLowerCase(),
  );
  const own = lower.startsWith(CORE) ? lower.slice(CORE.length) : lower;
  if (URN.test(own)) return undefined;
  const found = PATH.exec(own);
  if (!found) throw new ScimError("ERR_SCIM_PATH", "The path is not understood");
  const [, name = "", filter, part] = found;
  return { name, filter, part };
}

/**
 * The draft with what an object says: the body of POST and PUT, or the value of a change without a path, whose members
 * may be paths themselves.
 *
 * @throws ScimError
 */
export function changeAll(draft: Draft, op: PatchOp, object: JsonObject): Draft {
  let next = draft;
  for (const [name, value] of Object.entries(object)) {
    const path = parsePath(name);
    if (path) next = changeOne(next, path, { op, value });
  }
  return next;
}

/** Attributes that are not kept here are no mistake: directories map more than anybody keeps. @throws ScimError */
export function changeOne(draft: Draft, path: AttributePath, change: Change): Draft {
  switch (path.name) {
    case "username":
      return { ...draft, userName: requiredText(change) };
    case "externalid":
      return { ...draft, externalId: textOrNull(change) };
    case "displayname":
      return { ...draft, displayName: textOrNull(change) };
    case "name":
      return changeName(draft, path.part, change);
    case "active":
      if (change.op === "remove") throw invalid("active cannot be removed");
      return { ...draft, active: readFlag(change.value) };
    case "emails":
      return { ...draft, emails: changeEmails(draft.emails, path, change) };
    default:
      return draft;
  }
}

function changeName(draft: Draft, part: string | undefined, change: Change): Draft {
  if (part === "givenname") return { ...draft, givenName: textOrNull(change) };
  if (part === "familyname") return { ...draft, familyName: textOrNull(change) };
  if (part !== undefined) return draft;
  const { op, value } = change;
  if (op === "remove" || value === null || value === undefined)
    return { ...draft, givenName: null, familyName: null };
  if (!isJsonObject(value)) throw invalid("name is an object");
  let next = draft;
  for (const [name, one] of Object.entries(value))
    next = changeName(next, name.toLowerCase(), { op, value: one });
  return next;
}

function requiredText(change: Change): string {
  const text = textOrNull(change);
  if (text === null) throw invalid("userName is required");
  return text;
}

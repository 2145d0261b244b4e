import type { Email } from "@redoubt/store";
import { isJsonObject, type JsonValue } from "@redoubt/verify/json";
import { ScimError } from "./scim-error.ts";
import { invalid, readFlag, type AttributePath, type Change } from "./values.ts";

type Matcher = Partial<Email>;

const FILTER = /^\s*(type|value|primary)\s+eq\s+(?:"([^"\\]*)"|(true|false))\s*$/;

/** @throws ScimError */
export function changeEmails(
  emails: readonly Email[],
  { filter, part }: Pick<AttributePath, "filter" | "part">,
  change: Change,
): readonly Email[] {
  if (filter === undefined && part === undefined) return changeList(emails, change);
  const matcher = filter === undefined ? { primary: true } : parseFilter(filter);
  if (change.op === "remove") return emails.filter((one) => !matches(one, matcher));
  if (part === undefined) {
    const others = emails.filter((one) => !matches(one, matcher));
    return onePrimary([...others, readEmail(change.value, matcher)]);
  }
  return changePart(emails, matcher, { ...change, part });
}

function changeList(emails: readonly Email[], { op, value }: Change): readonly Email[] {
  if (op === "remove") {
    // Entra names what goes in the value; without one all go.
    if (value === undefined || value === null) return [];
    const gone = readList(value).map((one) => one.value.toLowerCase());
    return emails.filter((one) => !gone.includes(one.value.toLowerCase()));
  }
  if (value === null || value === undefined) return [];
  const said = readList(value);
  if (op === "replace") return onePrimary(said);
  const names = said.map((one) => one.value.toLowerCase());
  const others = emails.filter((one) => !names.includes(one.value.toLowerCase()));
  return onePrimary([...others, ...said]);
}

/** RFC 7644 §3.5.2.3 has no target where nothing matches; Entra expects that the address is made. */
function changePart(
  emails: readonly Email[],
  matcher: Matcher,
  { part, ...change }: Change & { readonly part: string },
): readonly Email[] {
  const at = emails.findIndex((one) => matches(one, matcher));
  const known = emails[at];
  const changed = withPart(known ?? matcher, part, change);
  if (changed === undefined) return emails;
  const { value } = changed;
  if (value === undefined) {
    if (known) return emails.filter((one) => one !== known);
    // The type of an address that is not there yet: nothing to keep.
    return emails;
  }
  const email = { ...changed, value };
  if (!known) return onePrimary([...emails, email]);
  return onePrimary(
    emails.map((one) => (one === known ? email : one)),
    email,
  );
}

/** Undefined for a part that is not kept. */
function withPart(
  email: Matcher,
  part: string,
  { value }: Pick<Change, "value">,
): Matcher | undefined {
  if (part === "primary") return { ...email, primary: readFlag(value) };
  if (part !== "value" && part !== "type") return undefined;
  if (value === null || value === undefined || value === "") {
    const { [part]: _, ...others } = email;
    return others;
  }
  if (typeof value !== "string") throw invalid("The attribute is a text");
  return { ...email, [part]: value };
}

function parseFilter(text: string): Matcher {
  const found = FILTER.exec(text);
  if (!found) throw new ScimError("ERR_SCIM_PATH", "The filter in the path is not understood");
  const [, name, quoted, flag] = found;
  if (name === "primary") return { primary: (flag ?? quoted?.toLowerCase()) === "true" };
  if (quoted === undefined) throw new ScimError("ERR_SCIM_PATH", "The filter compares with a text");
  return name === "type" ? { type: quoted } : { value: quoted };
}

export function matches(email: Email, { type, value, primary }: Matcher): boolean {
  if (type !== undefined && email.type?.toLowerCase() !== type.toLowerCase()) return false;
  if (value !== undefined && email.value.toLowerCase() !== value.toLowerCase()) return false;
  return primary === undefined || (email.primary === true) === primary;
}

function readList(value: JsonValue): readonly Email[] {
  const list = Array.isArray(value) ? value : [value];
  return list.map((one) => readEmail(one, {}));
}

function readEmail(value: JsonValue | undefined, given: Matcher): Email {
  if (typeof value === "string" && value !== "") return { ...given, value };
  if (!isJsonObject(value)) throw invalid("An address is an object with a value");
  const said = Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name.toLowerCase(), one]),
  );
  const { value: address, type = given.type, primary } = said;
  if (typeof address !== "string" || address === "") throw invalid("An address has a value");
  if (type !== undefined && type !== null && typeof type !== "string")
    throw invalid("The type of an address is a text");
  return {
    value: address,
    ...(typeof type === "string" && type !== "" && { type }),
    ...(primary !== undefined && primary !== null ? { primary: readFlag(primary) } : {}),
  };
}

/** RFC 7643 §2.4: one primary at most; the newest wins. */
function onePrimary(emails: readonly Email[], chosen?: Email): readonly Email[] {
  const isChosen = chosen?.primary === true;
  const primary = isChosen ? chosen : emails.findLast((one) => one.primary === true);
  return emails.map((one) =>
    one.primary === true && one !== primary ? { ...one, primary: false } : one,
  );
}

import { REALM } from "@redoubt/base";
import { InvalidArgumentError, Option } from "commander";
import { DEFAULT_REALM, REALMS, type Realm } from "../layout.ts";

/** `otherwise`: what the help says of a call without the option. */
export function realmOption(otherwise = `default: ${DEFAULT_REALM}`): Option {
  return new Option("--realm <realm>", `${REALMS.join(" or ")} (${otherwise})`).argParser(
    parseRealm,
  );
}

/** For commands that a cluster's realm has, too. Whether the realm is there is looked up when the command runs. */
export function anyRealmOption(otherwise = `default: ${DEFAULT_REALM}`): Option {
  const what = `${REALMS.join(", ")} or a cluster's (${otherwise})`;
  return new Option("--realm <realm>", what).argParser((text) => {
    if (!REALM.test(text)) throw new InvalidArgumentError(`Realms are like ${REALM.source}.`);
    return text;
  });
}

/** For commands that change a realm: none is the default. */
export function requiredRealmOption(): Option {
  return anyRealmOption("must be given").makeOptionMandatory();
}

function parseRealm(text: string): Realm {
  const realm = REALMS.find((name) => name === text);
  if (realm === undefined) throw new InvalidArgumentError(`Realms are ${REALMS.join(" and ")}.`);
  return realm;
}

export function tenantOption(what = "tenant of the client"): Option {
  return new Option("--tenant <uuid>", what);
}

export function clientOption(what = "client id"): Option {
  return new Option("--client <id>", what);
}

/** `maxLength`: the most that the receiver of the reason takes (docs/spec/wire.md §3, docs/spec/logs.md §4). */
export function reasonOption({
  what = "why; stands in the registry for ever",
  maxLength = 256,
} = {}): Option {
  return new Option("--reason <text>", what)
    .argParser((text) => parseReason(text.trim(), maxLength))
    .makeOptionMandatory();
}

function parseReason(reason: string, maxLength: number): string {
  if (reason === "" || reason.length > maxLength || /\p{Cc}/u.test(reason))
    throw new InvalidArgumentError(`Say why, in 1 to ${maxLength} characters on one line.`);
  return reason;
}

/** For what cannot be undone (`confirm`). */
export function yesOption(): Option {
  return new Option("--yes", "do not ask");
}

/** Parser for options that may be given several times. */
export function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

/** Makes a parser that takes decimal digits alone; `Number` would also take a sign or an exponent. */
export function wholeNumber(min: number, max: number, message: string): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(message);
  };
}

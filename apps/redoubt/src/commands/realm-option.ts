import { InvalidArgumentError, Option } from "commander";
import { DEFAULT_REALM, REALMS, type Realm } from "../layout.ts";

export function realmOption(otherwise = `default: ${DEFAULT_REALM}`): Option {
  return new Option("--realm <realm>", `${REALMS.join(" or ")} (${otherwise})`).argParser(
    parseRealm,
  );
}

export function parseRealm(text: string): Realm {
  const realm = REALMS.find((name) => name === text);
  if (realm === undefined) throw new InvalidArgumentError(`Realms are ${REALMS.join(" and ")}.`);
  return realm;
}

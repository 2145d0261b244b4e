import { Secret } from "@redoubt/base";
import { optionError } from "../command.ts";

/** Where the issuers' people are kept, if it is not a file of each issuer: a URL of PostgreSQL, with its password. */
export const DATABASE_VARIABLE = "REDOUBT_DATABASE_URL";
const REALM = "{realm}";

/**
 * The database of each realm, as the environment of `redoubt up` and `redoubt run` says: for all by one URL with
 * `{realm}` in it, or for one by `REDOUBT_DATABASE_URL_<REALM>`, which goes first. No message quotes a URL.
 *
 * @param realms those whose issuers run here
 * @returns nothing for a realm whose people are in a file
 * @throws ServiceError `ERR_OPTION`
 */
export function readDatabaseUrls(
  environment: Readonly<Record<string, string | undefined>>,
  realms: readonly string[],
): ReadonlyMap<string, Secret> {
  const shared = environment[DATABASE_VARIABLE] ?? "";
  const found = new Map<string, string>();
  for (const realm of realms) {
    const own = variableOf(realm);
    const [name, template] = environment[own]
      ? [own, environment[own]]
      : [DATABASE_VARIABLE, shared];
    if (template === "") continue;
    const url = template.replaceAll(REALM, realm);
    checkUrl(name, url);
    const other = [...found].find(([, taken]) => taken === url);
    // THREAT-34, ARCHITECTURE §2: who can read one realm's people must not hold the other's with it.
    if (other)
      throw optionError(
        `Realms ${other[0]} and ${realm} may not share a database: put ${REALM} into its name or its user in ${DATABASE_VARIABLE}, or set ${variableOf(other[0])} and ${own}`,
      );
    found.set(realm, url);
  }
  return new Map([...found].map(([realm, url]) => [realm, new Secret(url)]));
}

function variableOf(realm: string): string {
  return `${DATABASE_VARIABLE}_${realm.toUpperCase().replaceAll("-", "_")}`;
}

function checkUrl(name: string, url: string): void {
  if (!/^postgres(?:ql)?:\/\/[^\s]*\/[^\s/?]+(?:\?\S*)?$/.test(url))
    throw optionError(`${name} must be a URL postgres://user:password@host/database`);
}

/** Files of a certificate that the URL names, which the driver reads. */
export function certificateFiles(url: Secret): readonly string[] {
  const text = url.reveal();
  const at = text.indexOf("?");
  const query = new URLSearchParams(at === -1 ? "" : text.slice(at + 1));
  return ["sslrootcert", "sslcert", "sslkey"].flatMap((name) => query.getAll(name));
}

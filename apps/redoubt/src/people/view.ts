import type { PasskeyView, PersonView } from "@redoubt/wire";
import { instant, table } from "../table.ts";

export function peopleTable(people: readonly PersonView[]): string {
  const rows = people.map((person) => [
    person.userName,
    person.displayName ?? "-",
    person.status,
    person.isAdministrator ? "administrator" : "-",
    person.onboardedAt === null ? "not yet" : instant(person.onboardedAt),
    person.source,
    person.id,
  ]);
  return table([["USER NAME", "NAME", "STATUS", "ROLE", "ONBOARDED", "SOURCE", "ID"], ...rows]);
}

/** The id is what `people remove-passkey` takes. */
export function passkeyTable(passkeys: readonly PasskeyView[]): string {
  if (passkeys.length === 0) return "No passkey: redoubt people pass lets the person register one";
  const rows = passkeys.map(({ name, tier, created, lastUsed, credential }) => [
    name,
    tier,
    instant(created),
    lastUsed === null ? "never" : instant(lastUsed),
    credential.toString("base64url"),
  ]);
  return table([["PASSKEY", "TIER", "SINCE", "LAST USED", "ID"], ...rows]);
}

export function passkeyJson({ credential, ...rest }: PasskeyView) {
  return { ...rest, credential: credential.toString("base64url") };
}

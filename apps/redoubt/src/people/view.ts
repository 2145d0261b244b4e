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

/** A passkey, and whether its approvals count. */
export interface ShownPasskey extends PasskeyView {
  readonly isEnrolled: boolean;
}

/** The id is what `people remove-passkey` takes. */
export function passkeyTable(passkeys: readonly ShownPasskey[]): string {
  if (passkeys.length === 0) return "No passkey: redoubt people pass lets the person register one";
  const rows = passkeys.map(({ name, tier, created, lastUsed, credential, isEnrolled }) => [
    name,
    tier,
    instant(created),
    lastUsed === null ? "never" : instant(lastUsed),
    isEnrolled ? "yes" : "-",
    credential.toString("base64url"),
  ]);
  return table([["PASSKEY", "TIER", "SINCE", "LAST USED", "APPROVES", "ID"], ...rows]);
}

export function passkeyJson({ credential, ...rest }: ShownPasskey) {
  return { ...rest, credential: credential.toString("base64url") };
}

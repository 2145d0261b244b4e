import { hash, randomBytes, randomUUID } from "node:crypto";
import { join } from "node:path";
import { systemClock } from "@redoubt/base";
import type { PeopleStore } from "@redoubt/store";
import { openPeopleStore } from "@redoubt/store/people";
import type { System } from "../e2e/system.ts";

/** The people of a running system's enterprise realm, as its issuer has them. */
export function peopleOf(system: Pick<System, "folder">): Promise<PeopleStore> {
  const path = join(system.folder, "issuer-enterprise", "people.sqlite");
  return openPeopleStore({ path }, { realm: "enterprise", clock: systemClock });
}

/** Adds a person who has no passkey yet. @returns the pass with which she registers */
export async function addPerson(
  system: Pick<System, "folder">,
  tenant: string,
  displayName = "Ada",
): Promise<string> {
  await using store = await peopleOf(system);
  const id = randomUUID();
  const userName = `${displayName.toLowerCase()}@example.org`;
  await store.people.add({
    id,
    tenant,
    userName,
    externalId: null,
    displayName,
    givenName: null,
    familyName: null,
    emails: [{ value: userName, primary: true }],
    isAdministrator: false,
    onboardedAt: null,
    status: "active",
    handle: randomBytes(32),
    source: "command",
  });
  const secret = randomBytes(20).toString("hex").toUpperCase();
  const now = Math.floor(Date.now() / 1000);
  await store.passes.issue({
    hashes: [hash("sha256", secret, "buffer")],
    personId: id,
    purpose: "onboarding",
    notBefore: now,
    expires: now + 3600,
    issuedBy: "operator",
  });
  return secret;
}

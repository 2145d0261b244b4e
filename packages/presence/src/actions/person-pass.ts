import { UUID } from "@redoubt/base";
import { PERSON_ID } from "../person.ts";
import { defineAction } from "./action.ts";

export interface PersonPass {
  readonly person: string;
  /** By which they are known; it may be in any script. */
  readonly userName: string;
  readonly tenant: string;
  readonly purpose: "onboarding" | "recovery";
  /** How long the pass counts. */
  readonly minutes: number;
}

export const personPass = defineAction({
  name: "person.pass",
  facts: {},
  read: (reader): PersonPass => ({
    person: reader.string("person", 64, PERSON_ID),
    userName: reader.string("userName", 256),
    tenant: reader.string("tenant", 36, UUID),
    purpose: reader.oneOf("purpose", ["onboarding", "recovery"]),
    minutes: reader.integer("minutes", 1, 60),
  }),
  title: ({ purpose }) =>
    purpose === "onboarding"
      ? "Issue a one-time pass, with which a new person makes the first passkey"
      : "Issue a one-time pass, with which a person who lost all passkeys makes a new one",
  rows: ({ person, userName, tenant, minutes }) => [
    ["Name", userName],
    ["Person", person],
    ["Tenant", tenant],
    ["Counts for minutes", String(minutes)],
  ],
});

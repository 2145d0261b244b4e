import { PERSON_ID } from "../person.ts";
import { defineAction } from "./action.ts";

export interface PersonRecovery {
  readonly person: string;
  /** Id of the request that this approves, and no other one of that person. */
  readonly request: string;
}

export const personRecovery = defineAction({
  name: "person.recovery",
  facts: { userName: "Name", passkeys: "Passkeys that end" },
  read: (reader): PersonRecovery => ({
    person: reader.string("person", 64, PERSON_ID),
    request: reader.string("request", 64, PERSON_ID),
  }),
  title: () => "Let a person back in who lost all passkeys",
  rows: ({ person, request }) => [
    ["Person", person],
    ["Request", request],
  ],
});

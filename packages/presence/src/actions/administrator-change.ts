import { PERSON_ID } from "../person.ts";
import { defineAction } from "./action.ts";

export interface AdministratorChange {
  readonly person: string;
  readonly change: "grant" | "remove";
}

export const administratorChange = defineAction({
  name: "administrator.change",
  facts: { userName: "Name", administrators: "Administrators afterwards" },
  read: (reader): AdministratorChange => ({
    person: reader.string("person", 64, PERSON_ID),
    change: reader.oneOf("change", ["grant", "remove"]),
  }),
  title: ({ change }) =>
    change === "grant"
      ? "Make a person an administrator"
      : "Take an administrator's rights from a person",
  rows: ({ person }) => [["Person", person]],
});

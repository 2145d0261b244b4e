import { SHA256 } from "@redoubt/base";
import { CREDENTIAL_CLASSES, type CredentialClass } from "../enrolment.ts";
import { CREDENTIAL_ID, MAX_CREDENTIAL_TEXT } from "../person.ts";
import { defineAction } from "./action.ts";

export interface PresenceEnrol {
  /** `personHash` of the person's id. */
  readonly person: string;
  /** Id of the credential, base64url. */
  readonly credential: string;
  /** SHA-256 of the COSE key, base64url: the id alone would let another key be enrolled under it. */
  readonly publicKeyHash: string;
  readonly class: CredentialClass;
}

export const presenceEnrol = defineAction({
  name: "presence.enrol",
  facts: { userName: "Name" },
  read: (reader): PresenceEnrol => ({
    person: reader.string("person", 43, SHA256),
    credential: reader.string("credential", MAX_CREDENTIAL_TEXT, CREDENTIAL_ID),
    publicKeyHash: reader.string("publicKeyHash", 43, SHA256),
    class: reader.oneOf("class", CREDENTIAL_CLASSES),
  }),
  title: () => "Let a passkey approve what only people may approve",
  rows: ({ person, credential, publicKeyHash, class: tier }) => [
    ["Person (hash)", person],
    ["Passkey", credential],
    ["Its key (hash)", publicKeyHash],
    ["Class", tier],
  ],
});

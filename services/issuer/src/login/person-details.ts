import { ServiceError } from "@redoubt/base";
import type { PersonDetails } from "@redoubt/store";

/** What is said of a person by those who may; the rest is for Redoubt to say. */
export type SaidDetails = Omit<PersonDetails, "isAdministrator" | "onboardedAt">;

const MAX_NAME = 256;
const MAX_ADDRESS = 320;
const MAX_TYPE = 32;
const MAX_ADDRESSES = 16;

/**
 * Names are shown to people and written to logs: none is empty, endless, or of signs that nobody sees.
 *
 * @throws ServiceError `ERR_PERSON_DETAILS` that names the member
 */
export function checkDetails(details: Partial<SaidDetails>): void {
  const { userName, externalId, displayName, givenName, familyName, emails = [] } = details;
  const names = { userName, externalId, displayName, givenName, familyName };
  for (const [name, value] of Object.entries(names))
    if (typeof value === "string") checkText(name, value, MAX_NAME);
  if (emails.length > MAX_ADDRESSES) throw refused("emails", `at most ${MAX_ADDRESSES}`);
  for (const { value, type } of emails) {
    checkText("emails", value, MAX_ADDRESS);
    if (type !== undefined) checkText("emails", type, MAX_TYPE);
  }
  if (emails.filter(({ primary }) => primary === true).length > 1)
    throw refused("emails", "one primary at most");
}

function checkText(name: string, value: string, max: number): void {
  const isVisible = value.trim() === value && value !== "" && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(value);
  if (value.length > max || !isVisible || !value.isWellFormed())
    throw refused(name, `1 to ${max} visible characters, without spaces around them`);
}

function refused(name: string, expected: string): ServiceError {
  return new ServiceError("ERR_PERSON_DETAILS", `Person: ${name} must be ${expected}`);
}

import { errorCode } from "@redoubt/base";
import { ask, ISSUER } from "@redoubt/wire";
import type { Demo } from "../demo.ts";
import type { Operator } from "../operator.ts";
import { registrationUrl } from "../people/pass.ts";
import { isOnLoopback, type Settings } from "../settings.ts";

/** The person as whom a newcomer signs in; exists on one machine only. */
export interface DemoAdministrator {
  readonly userName: string;
  readonly tenant: string;
  /** Holds the pass, in the fragment. */
  readonly register: string;
  readonly pass: string;
  /** POSIX seconds. */
  readonly expires: number;
}

const REALM = "enterprise";
const USER_NAME = "admin@demo.example";
const MINUTES = 60;
/** Somebody made this system their own: it has another administrator, or approvals. */
const OVER: readonly string[] = [
  "ERR_PERSON_UNKNOWN",
  "ERR_PERSON_TAKEN",
  "ERR_ISSUER_PRESENCE",
  "ERR_REQUEST_OP",
];

/**
 * A pass for the demo's administrator, who is made at the first start; undefined once that person has a passkey. Where
 * the world can reach the system, nobody is made without having been asked for.
 */
export async function demoAdministrator(
  operator: Operator,
  settings: Settings,
  { clients }: Demo,
): Promise<DemoAdministrator | undefined> {
  const tenant = clients.find(({ realm }) => realm === REALM)?.tenant;
  if (tenant === undefined || !isOnLoopback(settings)) return undefined;
  try {
    const issued = await issue(operator, tenant);
    if (!issued) return undefined;
    const { pass, expires } = issued;
    const register = registrationUrl(settings, { realm: REALM, tenant }, pass);
    return { userName: USER_NAME, tenant, register, pass, expires };
  } catch (error) {
    if (OVER.includes(errorCode(error))) return undefined;
    throw error;
  }
}

async function issue(
  operator: Operator,
  tenant: string,
): Promise<{ readonly pass: string; readonly expires: number } | undefined> {
  const issuer = operator.client(`issuer-${REALM}`);
  try {
    return await ask(issuer, ISSUER.firstAdministrator, {
      tenant,
      userName: USER_NAME,
      externalId: null,
      displayName: "Demo administrator",
      givenName: null,
      familyName: null,
      emails: [{ value: USER_NAME, primary: true }],
      minutes: MINUTES,
    });
  } catch (error) {
    if (errorCode(error) !== "ERR_ADMINISTRATOR_EXISTS") throw error;
  }
  const { person, passkeys } = await ask(issuer, ISSUER.showPerson, {
    tenant,
    userName: USER_NAME,
  });
  if (passkeys.length > 0 || person.status !== "active") return undefined;
  return ask(issuer, ISSUER.issuePass, {
    tenant,
    person: person.id,
    purpose: "onboarding",
    minutes: MINUTES,
  });
}

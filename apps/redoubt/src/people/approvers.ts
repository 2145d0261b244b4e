import { enrolmentKey, personHash, type Enrolment } from "@redoubt/presence";
import type { Registry } from "@redoubt/registry";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { systemClock } from "@redoubt/base";
import type { CommandContext } from "../command.ts";
import type { Operator } from "../operator.ts";
import { askPresence } from "../presence/ask.ts";
import type { Settings } from "../settings.ts";
import type { PeopleOf } from "./names.ts";

/** How long there is to approve, and how old a statement may be. */
export const APPROVAL_SECONDS = 300;
const RECOVERY_APPROVERS = 2;
/** As many as the page takes; with more of them, any may try, and the issuer decides. */
const MAX_NAMED = 32;

export interface AskedPass {
  readonly person: { readonly id: string; readonly userName: string };
  readonly purpose: "onboarding" | "recovery";
  readonly minutes: number;
}

/** Passkeys whose approvals count now. */
export function approversOf(
  { enrolments }: Pick<Registry, "enrolments">,
  realm: string,
): readonly Enrolment[] {
  return [...enrolments.values()].filter(
    (one) => one.realm === realm && one.removedAt === undefined,
  );
}

/**
 * While somebody is enrolled the operator alone issues no pass. Where approvers are lost, the operator removes what is
 * left of them, in statements that everybody sees: a realm must not be without a door for ever.
 */
export function hasEnrolled({ enrolments }: Pick<Registry, "enrolments">, realm: string): boolean {
  return [...enrolments.values()].some((one) => one.realm === realm && one.removedAt === undefined);
}

export function isEnrolled(
  { enrolments }: Pick<Registry, "enrolments">,
  realm: string,
  credential: Uint8Array,
): boolean {
  const found = enrolments.get(enrolmentKey(realm, encodeBase64url(credential)));
  return found !== undefined && found.removedAt === undefined;
}

/** Has enrolled administrators approve a pass: two for a recovery, and never the person herself (THREAT-18). */
export async function approvePass(
  {
    context,
    operator,
    settings,
    place,
  }: {
    readonly context: CommandContext;
    readonly operator: Operator;
    readonly settings: Settings;
    readonly place: PeopleOf;
  },
  { person, purpose, minutes }: AskedPass,
) {
  const { realm, tenant } = place;
  const others = approversOf(operator.registry, realm).filter(
    (one) => one.person !== personHash(person.id),
  );
  const credentials = others.map(({ credential }) => credential);
  const { statement, assertions } = await askPresence(
    { settings, terminal: context.terminal, page: operator.client("presence"), clock: systemClock },
    {
      action: "person.pass",
      realm,
      subject: { person: person.id, userName: person.userName, tenant, purpose, minutes },
    },
    {
      approvers: purpose === "recovery" ? RECOVERY_APPROVERS : 1,
      seconds: APPROVAL_SECONDS,
      ...(credentials.length > 0 && credentials.length <= MAX_NAMED && { credentials }),
    },
  );
  return { statement: statement.bytes, assertions };
}

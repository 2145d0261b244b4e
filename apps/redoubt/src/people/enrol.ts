import { hash } from "node:crypto";
import { nowSeconds, systemClock } from "@redoubt/base";
import { acceptApproval, personHash, type Enrolment } from "@redoubt/presence";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { ask, ISSUER, type Answered } from "@redoubt/wire";
import { EXIT, optionError, type CommandContext } from "../command.ts";
import { withOperator, type Operator } from "../operator.ts";
import { askPresence, pageOf, type UnverifiedApproval } from "../presence/ask.ts";
import type { Settings } from "../settings.ts";
import { approversOf, APPROVAL_SECONDS, hasEnrolled } from "./approvers.ts";
import { readCredential } from "./credential.ts";
import { peopleOf, requirePerson, type PeopleOf, type PeoplePlace, type Shown } from "./names.ts";

export interface EnrolOptions extends PeoplePlace {
  readonly passkey?: string;
}

type ToEnrol = Answered<typeof ISSUER.passkeyToEnrol>;
/** All that a statement about an enrolment says of the passkey. */
type Enrolled = Omit<Enrolment, "from" | "removedAt">;

/**
 * Enrols an administrator's passkey, so that its approvals count. Somebody who is enrolled approves it; the first one of
 * a realm nobody could, and the operator's key is enough (M6).
 */
export function peopleEnrol(
  context: CommandContext,
  userName: string,
  { passkey, ...options }: EnrolOptions,
): Promise<number> {
  return withOperator(context, async (operator, { settings }) => {
    // Before anything is said: without a page no approval would ever follow.
    pageOf(settings);
    const place = await peopleOf(operator, options);
    const shown = await requirePerson(place, userName);
    const credential = choosePasskey(shown, passkey);
    const { person } = shown;
    const name = { tenant: place.tenant, person: person.id, credential };
    const key = await ask(place.issuer, ISSUER.passkeyToEnrol, name);
    const isFirst = !hasEnrolled(operator.registry, place.realm);
    const approval = isFirst
      ? undefined
      : await approve({ context, operator, settings, place }, { shown, credential, key });
    await operator.state({
      type: "enrolment",
      status: "active",
      ...enrolledOf(place.realm, { shown, credential, key }),
    });
    await operator.realmCaughtUp(place.realm);
    const id = credential.toString("base64url");
    context.terminal.result({
      json: { userName: person.userName, credential: id, class: key.class, approval },
      text: [
        `Enrolled: what ${person.userName} approves with passkey ${id} (${key.class}) counts from now on.`,
        ...(approval === undefined
          ? [
              "It is the first of the realm, which the operator's key alone could enrol. From now on",
              "passes and further enrolments need an approval.",
            ]
          : [`Approval: ${approval}`]),
      ].join("\n"),
    });
    return EXIT.ok;
  });
}

/** Takes a passkey's approvals away, for good. */
export function peopleUnenrol(
  context: CommandContext,
  userName: string,
  { passkey, ...options }: EnrolOptions,
): Promise<number> {
  return withOperator(context, async (operator) => {
    const place = await peopleOf(operator, options);
    const { person } = await requirePerson(place, userName);
    const known = approversOf(operator.registry, place.realm).filter(
      (one) => one.person === personHash(person.id),
    );
    const enrolment = chooseEnrolment(known, { userName, passkey });
    const { from: _from, removedAt: _removed, ...enrolled } = enrolment;
    await operator.state({ type: "enrolment", status: "removed", ...enrolled });
    await operator.realmCaughtUp(place.realm);
    const { credential } = enrolment;
    context.terminal.result({
      json: { userName: person.userName, credential, removed: true },
      text: `Removed: no approval by passkey ${credential} counts any more.`,
    });
    return EXIT.ok;
  });
}

interface Enrolling {
  readonly context: CommandContext;
  readonly operator: Operator;
  readonly settings: Settings;
  readonly place: PeopleOf;
}

interface Chosen {
  readonly shown: Shown;
  readonly credential: Buffer;
  readonly key: ToEnrol;
}

/** @returns by what the issuer keeps the approval */
async function approve(
  { context, operator, settings, place }: Enrolling,
  { shown: { person }, credential, key }: Chosen,
): Promise<string> {
  const { realm, tenant, issuer } = place;
  const approval = await askPresence(
    { settings, terminal: context.terminal, page: operator.client("presence"), clock: systemClock },
    {
      action: "presence.enrol",
      realm,
      subject: {
        person: personHash(person.id),
        credential: encodeBase64url(credential),
        publicKeyHash: hash("sha256", key.publicKey, "base64url"),
        class: key.class,
      },
      facts: { userName: person.userName },
    },
    { approvers: 1, seconds: APPROVAL_SECONDS },
  );
  await verifyHere({ operator, settings }, approval);
  const { id } = await ask(issuer, ISSUER.approveEnrolment, {
    tenant,
    person: person.id,
    credential,
    approval: { statement: approval.statement.bytes, assertions: approval.assertions },
  });
  return id;
}

/** Whoever acts verifies: what the registry is told is the operator's to know, whatever an issuer says. */
async function verifyHere(
  { operator, settings }: Pick<Enrolling, "operator" | "settings">,
  { statement, assertions }: UnverifiedApproval,
): Promise<void> {
  const { enrolments } = await operator.readRegistry();
  await acceptApproval({
    statement: statement.bytes,
    assertions,
    policy: {
      action: "presence.enrol",
      tier: "verified",
      approvers: 1,
      notBy: [],
      maxAgeSeconds: APPROVAL_SECONDS,
    },
    ceremony: { rpId: settings.rpId, origins: [pageOf(settings)] },
    enrolments,
    // Made a moment ago, by this command, for this one use; the issuer uses it up for all others.
    consumed: { use: () => Promise.resolve(true) },
    now: nowSeconds(systemClock),
  });
}

function enrolledOf(realm: string, { shown, credential, key }: Chosen): Enrolled {
  return {
    realm,
    person: personHash(shown.person.id),
    credential: encodeBase64url(credential),
    publicKey: encodeBase64url(key.publicKey),
    class: key.class,
    rpId: key.rpId,
    ...(key.aaguid !== undefined && { aaguid: key.aaguid }),
  };
}

function choosePasskey({ passkeys, person }: Shown, id: string | undefined): Buffer {
  if (id !== undefined) return readCredential(id);
  const [only, ...more] = passkeys;
  if (only && more.length === 0) return only.credential;
  throw optionError(
    `${person.userName} has ${passkeys.length} passkeys: --passkey names one by its id, as redoubt people show has it`,
  );
}

function chooseEnrolment(
  known: readonly Enrolment[],
  { userName, passkey }: { readonly userName: string; readonly passkey: string | undefined },
): Enrolment {
  const [only, ...more] =
    passkey === undefined ? known : known.filter(({ credential }) => credential === passkey);
  if (only && more.length === 0) return only;
  throw optionError(
    `${userName} has ${known.length} enrolled passkeys${passkey === undefined ? "" : " and not this one"}: --passkey names one by its id, as redoubt presence enrolments has it`,
  );
}

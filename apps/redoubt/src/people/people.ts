import { errorCode } from "@redoubt/base";
import { ask, ISSUER, type Answered, type PersonView } from "@redoubt/wire";
import { EXIT, optionError, type CommandContext } from "../command.ts";
import { withOperator } from "../operator.ts";
import { approvePass, approversOf, hasEnrolled, isEnrolled } from "./approvers.ts";
import { readCredential } from "./credential.ts";
import { lookUp, peopleOf, requirePerson, type PeopleOf, type PeoplePlace } from "./names.ts";
import { passLines, registrationUrl } from "./pass.ts";
import { passkeyJson, passkeyTable, peopleTable } from "./view.ts";

export interface AddOptions extends PeoplePlace {
  readonly userName: string;
  readonly name?: string;
  readonly email?: string;
  readonly administrator?: boolean;
}

export interface PassOptions extends PeoplePlace {
  readonly minutes: number;
  readonly recovery?: boolean;
}

const FIRST_PASS_MINUTES = 60;
const NOBODY_ENROLLED =
  "No passkey of the realm is enrolled for approvals: redoubt people enrol enrols an administrator's";

/** Adds a person; the realm's first administrator gets a pass with it, for nobody could approve one. */
export function peopleAdd(context: CommandContext, options: AddOptions): Promise<number> {
  return withOperator(context, async (operator, { settings }) => {
    const place = await peopleOf(operator, options);
    const known = await lookUp(place, options.userName);
    if (known && options.administrator === true && !known.person.isAdministrator)
      throw optionError(
        `${options.userName} is there and no administrator: add the administrator under another name`,
      );
    const first =
      known || options.administrator !== true ? undefined : await addFirst(place, options);
    const person = known?.person ?? first?.person ?? (await add(place, options));
    const register = first && registrationUrl(settings, place, first.pass);
    const { realm } = place;
    const added = known === undefined;
    context.terminal.result({
      json: {
        realm,
        added,
        ...person,
        ...(first && { pass: first.pass, expires: first.expires, register }),
      },
      text: [
        added ? "Added:" : "Known already, nothing to do:",
        peopleTable([person]),
        "",
        ...(first && register !== undefined
          ? passLines({ ...first, register })
          : [`Next: redoubt people pass ${person.userName} --tenant ${place.tenant}`]),
      ].join("\n"),
    });
    return EXIT.ok;
  });
}

/** Undefined where the realm has had an administrator: then this is one more. */
async function addFirst({ issuer, tenant }: PeopleOf, options: AddOptions) {
  const minutes = FIRST_PASS_MINUTES;
  try {
    return await ask(issuer, ISSUER.firstAdministrator, {
      tenant,
      ...detailsOf(options),
      minutes,
    });
  } catch (error) {
    if (errorCode(error) === "ERR_ADMINISTRATOR_EXISTS") return undefined;
    throw error;
  }
}

function add({ issuer, tenant }: PeopleOf, options: AddOptions): Promise<PersonView> {
  const isAdministrator = options.administrator === true;
  const asked = { ...detailsOf(options), isAdministrator, source: "command" } as const;
  return ask(issuer, ISSUER.addPerson, { tenant, ...asked });
}

function detailsOf({ userName, name, email }: AddOptions) {
  return {
    userName,
    externalId: null,
    displayName: name ?? null,
    givenName: null,
    familyName: null,
    emails: email === undefined ? [] : [{ value: email, primary: true }],
  };
}

export function peopleList(context: CommandContext, options: PeoplePlace): Promise<number> {
  return withOperator(context, async (operator) => {
    const place = await peopleOf(operator, options);
    const people = await everybody(place);
    const text = people.length === 0 ? "Nobody yet: redoubt people add" : peopleTable(people);
    context.terminal.result({ json: people, text });
    return EXIT.ok;
  });
}

async function everybody({ issuer, tenant }: PeopleOf): Promise<PersonView[]> {
  const all: PersonView[] = [];
  for (let from: number | undefined = 1; from !== undefined;) {
    // oxlint-disable-next-line no-await-in-loop -- each page says where the next begins
    const page: Answered<typeof ISSUER.listPeople> = await ask(issuer, ISSUER.listPeople, {
      tenant,
      from,
    });
    all.push(...page.items);
    // A page that leads nowhere must not be asked for ever.
    from = page.next !== undefined && page.next > from ? page.next : undefined;
  }
  return all;
}

export function peopleShow(
  context: CommandContext,
  userName: string,
  options: PeoplePlace,
): Promise<number> {
  return withOperator(context, async (operator) => {
    const place = await peopleOf(operator, options);
    const { person, passkeys } = await requirePerson(place, userName);
    const keys = passkeys.map((passkey) => ({
      ...passkey,
      isEnrolled: isEnrolled(operator.registry, place.realm, passkey.credential),
    }));
    const isAlone =
      person.isAdministrator && approversOf(operator.registry, place.realm).length === 0;
    const addresses = person.emails.map(({ value }) => value).join(" ");
    context.terminal.result({
      json: { ...person, passkeys: keys.map(passkeyJson) },
      text: [
        peopleTable([person]),
        ...(addresses === "" ? [] : ["", `addresses: ${addresses}`]),
        "",
        passkeyTable(keys),
        ...(isAlone ? ["", NOBODY_ENROLLED] : []),
      ].join("\n"),
    });
    return EXIT.ok;
  });
}

export function peopleSetStatus(
  context: CommandContext,
  userName: string,
  { status, ...options }: PeoplePlace & { readonly status: "active" | "disabled" },
): Promise<number> {
  return withOperator(context, async (operator) => {
    const place = await peopleOf(operator, options);
    const { person } = await requirePerson(place, userName);
    const one = { tenant: place.tenant, person: person.id };
    const operation = status === "active" ? ISSUER.enablePerson : ISSUER.disablePerson;
    const { changed } = await ask(place.issuer, operation, one);
    const now = { ...person, status };
    const said =
      status === "disabled"
        ? "Sessions, refresh tokens and open passes have ended. Access tokens that applications hold end by themselves."
        : "What ended stays ended: the person signs in anew.";
    context.terminal.result({
      json: { changed, ...now },
      text: [peopleTable([now]), "", changed ? said : "It was so already."].join("\n"),
    });
    return EXIT.ok;
  });
}

/** A pass with which the person may register passkeys, once. */
export function peoplePass(
  context: CommandContext,
  userName: string,
  { minutes, recovery = false, ...options }: PassOptions,
): Promise<number> {
  return withOperator(context, async (operator, { settings }) => {
    const place = await peopleOf(operator, options);
    const { person } = await requirePerson(place, userName);
    const purpose = recovery ? ("recovery" as const) : ("onboarding" as const);
    const approval = hasEnrolled(operator.registry, place.realm)
      ? await approvePass({ context, operator, settings, place }, { person, purpose, minutes })
      : undefined;
    const issued = await ask(place.issuer, ISSUER.issuePass, {
      tenant: place.tenant,
      person: person.id,
      purpose,
      minutes,
      approval,
    });
    const register = registrationUrl(settings, place, issued.pass);
    context.terminal.result({
      json: { userName: person.userName, purpose, ...issued, register },
      text: passLines({ ...issued, register }).join("\n"),
    });
    return EXIT.ok;
  });
}

export function peopleRemovePasskey(
  context: CommandContext,
  [userName, id]: readonly [userName: string, id: string],
  { reason, ...options }: PeoplePlace & { readonly reason: string },
): Promise<number> {
  const credential = readCredential(id);
  return withOperator(context, async (operator) => {
    const place = await peopleOf(operator, options);
    const { person } = await requirePerson(place, userName);
    const { removed } = await ask(place.issuer, ISSUER.removePasskey, {
      tenant: place.tenant,
      person: person.id,
      credential,
      reason,
    });
    if (!removed)
      throw optionError(`${userName} has no such passkey: redoubt people show lists them`);
    context.terminal.result({
      json: { userName: person.userName, credential: id, removed },
      text: "Removed. All sessions of the person have ended.",
    });
    return EXIT.ok;
  });
}

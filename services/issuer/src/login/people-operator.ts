import { ServiceError } from "@redoubt/base";
import type { PeopleStore, Person } from "@redoubt/store";
import { ISSUER, route, type Answered, type Route } from "@redoubt/wire";
import type { Accounts } from "./accounts.ts";
import type { Approvals } from "./approvals/approvals.ts";
import { approveEnrolment, passkeyToEnrol } from "./approvals/enrolments.ts";

export interface PeopleOperatorParts {
  readonly accounts: Accounts;
  readonly approvals: Approvals;
  readonly store: Pick<PeopleStore, "people" | "passkeys" | "tallies" | "approvals">;
  /** Whether the registry has the tenant in this realm. */
  readonly hasTenant: (tenant: string) => boolean;
}

/** As many people as one answer holds, whatever is said of each. */
const PAGE = 100;
const MAX_PAGE_BYTES = 128 * 1024;
const MAX_DAYS = 400;

/** What the operator's socket does about people (docs/spec/wire.md §6.1). */
export function peopleRoutes(parts: PeopleOperatorParts): readonly Route[] {
  const { accounts } = parts;
  return [
    route(ISSUER.addPerson, async ({ tenant, isAdministrator, source, ...details }) => {
      checkTenant(parts, tenant);
      return viewOf(await accounts.add(tenant, details, { source, isAdministrator }));
    }),
    route(ISSUER.listPeople, ({ tenant, from }) => listPeople(parts, tenant, from)),
    route(ISSUER.showPerson, async ({ tenant, userName }) => {
      const person = await accounts.find(tenant, { userName });
      return { person: viewOf(person), passkeys: await accounts.passkeys(person) };
    }),
    route(ISSUER.disablePerson, async ({ tenant, person }) => ({
      changed: await accounts.deactivate(tenant, person),
    })),
    route(ISSUER.enablePerson, async ({ tenant, person }) => ({
      changed: await accounts.reactivate(tenant, person),
    })),
    route(ISSUER.firstAdministrator, async ({ tenant, minutes, ...details }) => {
      checkTenant(parts, tenant);
      const { person, ...pass } = await accounts.addFirstAdministrator(tenant, details, minutes);
      return { person: viewOf(person), ...pass };
    }),
    route(ISSUER.issuePass, ({ tenant, person, ...asked }) =>
      accounts.issuePass(tenant, person, asked),
    ),
    route(ISSUER.removePasskey, async ({ tenant, person, ...asked }) => ({
      removed: await accounts.removePasskey(tenant, person, asked),
    })),
    ...approvalRoutes(parts),
    ...scimTokenRoutes(parts),
    ...countRoutes(parts),
  ];
}

function approvalRoutes(parts: PeopleOperatorParts): readonly Route[] {
  const { approvals, store } = parts;
  return [
    route(ISSUER.passkeyToEnrol, (name) => passkeyToEnrol(parts, name)),
    route(ISSUER.approveEnrolment, async ({ approval, ...name }) => ({
      id: await approveEnrolment(parts, name, approval),
    })),
    route(ISSUER.listApprovals, async ({ from }) => {
      // One more than is answered says whether there are more.
      const rows = await store.approvals.list({ startIndex: from, count: PAGE + 1 });
      const items = rows.slice(0, PAGE);
      const hasMore = rows.length > PAGE;
      return { service: approvals.service ?? null, items, ...(hasMore && { next: from + PAGE }) };
    }),
    route(ISSUER.showApproval, async ({ id }) => {
      const found = await store.approvals.find(id);
      if (!found) throw new ServiceError("ERR_APPROVAL_UNKNOWN", "No such approval is kept here");
      return { envelope: Buffer.from(found.envelope) };
    }),
  ];
}

function scimTokenRoutes(parts: PeopleOperatorParts): readonly Route[] {
  const { accounts } = parts;
  return [
    route(ISSUER.addScimToken, ({ tenant, name, days }) => {
      checkTenant(parts, tenant);
      return accounts.addScimToken(tenant, name, days);
    }),
    route(ISSUER.listScimTokens, async ({ tenant }) => ({
      items: await accounts.scimTokens(tenant),
    })),
    route(ISSUER.removeScimToken, async ({ tenant, id }) => ({
      removed: await accounts.removeScimToken(tenant, id),
    })),
  ];
}

function countRoutes({ accounts, store }: PeopleOperatorParts): readonly Route[] {
  return [
    route(ISSUER.signInTallies, async ({ from, to }) => {
      if (to - from >= MAX_DAYS)
        throw new ServiceError("ERR_REQUEST_MEMBER", `signInTallies: at most ${MAX_DAYS} days`);
      const rows = await store.tallies.read(from, to);
      return { items: rows.map(({ day, tier, count }) => ({ day, tier: tierNamed(tier), count })) };
    }),
    route(ISSUER.mfaCoverage, async () => {
      const { "device-bound": deviceBound, ...others } = await accounts.coverage();
      return { ...others, deviceBound };
    }),
  ];
}

const TIERS = ["synced", "device-bound", "attested"] as const;

/** A tier of another version of this software counts as the lowest. */
function tierNamed(text: string): (typeof TIERS)[number] {
  return TIERS.find((tier) => tier === text) ?? "synced";
}

function checkTenant({ hasTenant }: PeopleOperatorParts, tenant: string): void {
  if (!hasTenant(tenant))
    throw new ServiceError("ERR_TENANT_UNKNOWN", "The registry has no such tenant in this realm");
}

async function listPeople(
  { store }: PeopleOperatorParts,
  tenant: string,
  from: number,
): Promise<Answered<typeof ISSUER.listPeople>> {
  const page = { startIndex: from, count: PAGE };
  const { total, people } = await store.people.list(tenant, page);
  const items: ReturnType<typeof viewOf>[] = [];
  let bytes = 0;
  for (const person of people) {
    const view = viewOf(person);
    bytes += Buffer.byteLength(JSON.stringify(view));
    if (bytes > MAX_PAGE_BYTES) break;
    items.push(view);
  }
  const next = from + items.length;
  return { total, items, ...(items.length > 0 && next <= total && { next }) };
}

function viewOf(person: Person) {
  const { handle: _handle, version: _version, ...view } = person;
  const emails = view.emails.map(({ value, type, primary }) => ({ value, type, primary }));
  return { ...view, emails };
}

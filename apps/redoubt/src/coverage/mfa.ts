import { nowSeconds, systemClock } from "@redoubt/base";
import type { ClientInfo } from "@redoubt/registry";
import { ask, ISSUER, type Answered } from "@redoubt/wire";
import { EXIT, type CommandContext } from "../command.ts";
import { REALMS, type Realm } from "../layout.ts";
import { withOperator, type Operator } from "../operator.ts";
import { table } from "../table.ts";
import { percent, shareOf } from "./share.ts";

const DAYS = 30;
const DAY_SECONDS = 86_400;
/** From the weakest to the strongest. */
const TIERS = ["none", "synced", "device-bound", "attested"] as const;
type Tier = (typeof TIERS)[number];

export interface TierCount {
  readonly tier: Tier;
  readonly count: number;
  /** Of all; null where there are none. */
  readonly share: number | null;
}

interface RealmCoverage {
  readonly realm: Realm;
  /** Active accounts, each by the weakest passkey that it has. */
  readonly accounts: readonly TierCount[];
  /** Of people, in the last 30 days. */
  readonly signIns: readonly TierCount[];
}

interface Workload {
  readonly realm: string;
  readonly tenant: string;
  readonly client: string;
}

const NOTES = `Every sign-in of a person is with a passkey and user verification: nothing weaker is taken. An account counts by the
weakest passkey that it has, because nobody who attacks it needs a stronger one. "none": has no passkey yet, and cannot
sign in. Workloads are no people: they prove themselves with secrets or keys, and are in neither share.`;

/** How people sign in, and the workloads beside them. */
export async function coverageMfa(context: CommandContext): Promise<number> {
  const today = Math.floor(nowSeconds(systemClock) / DAY_SECONDS);
  const { realms, workloads } = await withOperator(context, async (operator) => ({
    realms: await Promise.all(REALMS.map((realm) => readRealm(operator, realm, today))),
    workloads: workloadsOf((await operator.readRegistry()).clients.values()),
  }));
  context.terminal.result({
    json: { days: DAYS, realms, workloads },
    text: [
      ...realms.flatMap(realmText),
      `Workloads: ${workloads.length}`,
      ...(workloads.length > 0 ? [workloadTable(workloads)] : []),
      "",
      NOTES,
    ].join("\n"),
  });
  return EXIT.ok;
}

async function readRealm(operator: Operator, realm: Realm, today: number): Promise<RealmCoverage> {
  const issuer = operator.client(`issuer-${realm}`);
  const { none, synced, deviceBound, attested } = await ask(issuer, ISSUER.mfaCoverage, {});
  const asked = { from: today - DAYS + 1, to: today };
  const { items } = await ask(issuer, ISSUER.signInTallies, asked);
  return {
    realm,
    accounts: countsOf({ none, synced, "device-bound": deviceBound, attested }),
    signIns: countsOf(sumOf(items)),
  };
}

function sumOf(
  items: Answered<typeof ISSUER.signInTallies>["items"],
): Readonly<Record<Tier, number>> {
  const sums = { none: 0, synced: 0, "device-bound": 0, attested: 0 };
  for (const { tier, count } of items) sums[tier] += count;
  return sums;
}

/** Shares of the whole, by tier. */
export function countsOf(counts: Readonly<Record<Tier, number>>): readonly TierCount[] {
  const all = TIERS.reduce((sum, tier) => sum + counts[tier], 0);
  return TIERS.map((tier) => ({ tier, count: counts[tier], share: shareOf(counts[tier], all) }));
}

/** Clients through which nobody signs in. */
export function workloadsOf(
  clients: Iterable<Workload & Pick<ClientInfo, "status" | "login">>,
): readonly Workload[] {
  return [...clients]
    .filter(({ status, login }) => status === "active" && login === undefined)
    .map(({ realm, tenant, client }) => ({ realm, tenant, client }));
}

function realmText({ realm, accounts, signIns }: RealmCoverage): readonly string[] {
  const rows = TIERS.map((tier) => [tier, ...cells(accounts, tier), ...cells(signIns, tier)]);
  const heading = ["PASSKEY", "ACCOUNTS", "SHARE", `SIGN-INS, ${DAYS} DAYS`, "SHARE"];
  return [`People of realm ${realm}`, table([heading, ...rows]), ""];
}

function cells(counts: readonly TierCount[], tier: Tier): readonly string[] {
  const found = counts.find((one) => one.tier === tier);
  return [String(found?.count ?? 0), percent(found?.share ?? null)];
}

function workloadTable(workloads: readonly Workload[]): string {
  const rows = workloads.map(({ realm, tenant, client }) => [realm, tenant, client]);
  return table([["REALM", "TENANT", "CLIENT"], ...rows]);
}

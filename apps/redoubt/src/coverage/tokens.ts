import { nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import { ask, MONITOR, type Answered, type Requester } from "@redoubt/wire";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { withOperator } from "../operator.ts";
import { table } from "../table.ts";
import { percent, shareOf } from "./share.ts";
import { readTap, type TapResult } from "./tap.ts";

export interface CoverageOptions {
  readonly hours?: number;
  readonly tap?: string;
}

/** `audience`: null for all of the realm. */
type TokenCount = Answered<typeof MONITOR.coverage>["items"][number];

/** What one reporter's verifiers of one version did with tokens of one issuer and kind. */
interface VerifierCount {
  readonly reporter: string;
  readonly sdk: string;
  /** Null for tokens that named no key of the verifier's issuers. */
  readonly issuer: string | null;
  readonly kind: string;
  readonly accepted: number;
  /** By code. */
  readonly refused: Readonly<Record<string, number>>;
}

const NOTES = `A share of issued tokens is a lower bound: one that nobody used counts as not validated. With --tap a gateway's own
log says which were used. A realm's sum is held against its log; all else is what issuers and verifiers say of
themselves (self-reported).`;

export async function coverageTokens(
  context: CommandContext,
  { hours = 24, tap }: CoverageOptions,
): Promise<number> {
  const since = nowSeconds(systemClock) - hours * 3600;
  const path = tap === undefined ? undefined : fileArgument(context, tap);
  const { tokens, verifications, found } = await withOperator(context, async (operator) => {
    const monitor = operator.client("monitor");
    return {
      tokens: await readTokenCounts(monitor, since),
      verifications: await readVerifications(monitor, since),
      found: path === undefined ? undefined : await readTap(path, monitor),
    };
  });
  context.terminal.result({
    json: {
      since,
      label: "self-reported",
      isLowerBound: true,
      tokens: tokens.map((row) => ({ ...row, share: shareOf(row.seen, row.issued) })),
      verifications,
      ...(found && { tap: found }),
    },
    text: [
      `The last ${hours} h`,
      "",
      tokenTable(tokens),
      "",
      verificationTable(verifications),
      ...(found ? ["", tapText(found)] : []),
      "",
      NOTES,
    ].join("\n"),
  });
  return found && found.unknown > 0 ? EXIT.attention : EXIT.ok;
}

/** @throws ServiceError `ERR_COVERAGE` where `maxPages` do not hold them */
export function readTokenCounts(
  monitor: Requester,
  since: number,
  maxPages = Infinity,
): Promise<TokenCount[]> {
  return everyItem((from) => ask(monitor, MONITOR.coverage, { since, from }), maxPages);
}

export async function readVerifications(
  monitor: Requester,
  since: number,
): Promise<VerifierCount[]> {
  const counts = new Map<
    string,
    VerifierCount & { accepted: number; refused: Record<string, number> }
  >();
  for (const { outcome, count, ...named } of await everyItem((from) =>
    ask(monitor, MONITOR.verifications, { since, from }),
  )) {
    const key = JSON.stringify(named);
    const row = counts.get(key) ?? { ...named, accepted: 0, refused: {} };
    counts.set(key, row);
    if (outcome === null) row.accepted = count;
    else row.refused[outcome] = count;
  }
  return [...counts.values()];
}

/** Reads all pages. @throws ServiceError `ERR_COVERAGE` if the monitor does not move on */
async function everyItem<Item>(
  read: (
    from: number,
  ) => Promise<{ readonly items: readonly Item[]; readonly next: number | null }>,
  maxPages = Infinity,
): Promise<Item[]> {
  const all: Item[] = [];
  for (let from = 0, page = 0; page < maxPages; page += 1) {
    // oxlint-disable-next-line no-await-in-loop -- each page says where the next begins
    const { items, next } = await read(from);
    all.push(...items);
    if (next === null) return all;
    if (next <= from) throw new ServiceError("ERR_COVERAGE", "Monitor tells the same rows again");
    from = next;
  }
  throw new ServiceError("ERR_COVERAGE", `Monitor tells more than ${maxPages} pages`);
}

function tokenTable(tokens: readonly TokenCount[]): string {
  if (tokens.length === 0) return "No token was issued";
  const rows = tokens.map(({ realm, audience, issued, seen }) => [
    realm,
    audience ?? "(all)",
    String(issued),
    String(seen),
    percent(shareOf(seen, issued)),
  ]);
  return table([["REALM", "AUDIENCE", "ISSUED", "VALIDATED", "SHARE"], ...rows]);
}

function verificationTable(verifications: readonly VerifierCount[]): string {
  if (verifications.length === 0) return "No verifier sent counts";
  const rows = verifications.map(({ reporter, sdk, issuer, kind, accepted, refused }) => [
    reporter,
    sdk,
    issuer ?? "(none of its issuers)",
    kind,
    String(accepted),
    String(Object.values(refused).reduce((sum, count) => sum + count, 0)),
  ]);
  return table([["VERIFIER", "SDK", "ISSUER", "KIND", "ACCEPTED", "REFUSED"], ...rows]);
}

function tapText({ tokens, rows, unknown, unknownDigests }: TapResult): string {
  const lines = rows.map(({ realm, audience, used, seen }) => [
    realm,
    audience ?? "(not said)",
    String(used),
    String(seen),
    percent(shareOf(seen, used)),
  ]);
  const heading = `The tap names ${tokens} tokens.`;
  const found = table([["REALM", "AUDIENCE", "USED", "VALIDATED", "SHARE"], ...lines]);
  if (unknown === 0) return [heading, found].join("\n");
  const warning = `${unknown} of them are in no log of ours: other issuers' tokens, or forged ones. The first are:`;
  return [heading, found, warning, ...unknownDigests.map((digest) => `  ${digest}`)].join("\n");
}

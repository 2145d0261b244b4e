import { ServiceError } from "@redoubt/base";
import { ask, MONITOR, type Answered, type Requester } from "@redoubt/wire";

/** `audience`: null for all of the realm. */
export type TokenCount = Answered<typeof MONITOR.coverage>["items"][number];

/** What one reporter's verifiers of one version did with tokens of one issuer and kind. */
export interface VerifierCount {
  readonly reporter: string;
  readonly sdk: string;
  /** Null for tokens that named no key of the verifier's issuers. */
  readonly issuer: string | null;
  readonly kind: string;
  readonly accepted: number;
  /** By code. */
  readonly refused: Readonly<Record<string, number>>;
}

/** Null where there is nothing to share. */
export function shareOf(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}

export function readTokenCounts(monitor: Requester, since: number): Promise<TokenCount[]> {
  return everyItem((from) => ask(monitor, MONITOR.coverage, { since, from }));
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

/** Page by page. */
async function everyItem<Item>(
  read: (
    from: number,
  ) => Promise<{ readonly items: readonly Item[]; readonly next: number | null }>,
): Promise<Item[]> {
  const all: Item[] = [];
  for (let from = 0; ;) {
    // oxlint-disable-next-line no-await-in-loop -- each page says where the next begins
    const { items, next } = await read(from);
    all.push(...items);
    if (next === null) return all;
    if (next <= from) throw new ServiceError("ERR_COVERAGE", "Monitor tells the same rows again");
    from = next;
  }
}

import { isJsonObject, MemberReader } from "@redoubt/base";
import type { JsonValue } from "@redoubt/verify/json";
import type { AskMonitor } from "../alarms/alarm.ts";

export interface TokenCount {
  readonly realm: string;
  /** Null for all of the realm. */
  readonly audience: string | null;
  readonly issued: number;
  readonly seen: number;
}

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

const PAGE = 100;
const MAX = Number.MAX_SAFE_INTEGER;

/** Null where there is nothing to share. */
export function shareOf(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}

export async function readTokenCounts(ask: AskMonitor, since: number): Promise<TokenCount[]> {
  const rows: TokenCount[] = [];
  for await (const reader of pages(ask, "coverage", since))
    rows.push({
      realm: reader.string("realm", 64),
      audience: reader.isNull("audience") ? null : reader.string("audience"),
      issued: reader.integer("issued", 0, MAX),
      seen: reader.integer("seen", 0, MAX),
    });
  return rows;
}

export async function readVerifications(ask: AskMonitor, since: number): Promise<VerifierCount[]> {
  const counts = new Map<
    string,
    VerifierCount & { accepted: number; refused: Record<string, number> }
  >();
  for await (const reader of pages(ask, "verifications", since)) {
    const named = {
      reporter: reader.string("reporter"),
      sdk: reader.string("sdk", 64),
      issuer: reader.isNull("issuer") ? null : reader.string("issuer"),
      kind: reader.string("kind", 8),
    };
    const outcome = reader.isNull("outcome") ? undefined : reader.string("outcome", 64);
    const count = reader.integer("count", 0, MAX);
    const key = JSON.stringify(named);
    const row = counts.get(key) ?? { ...named, accepted: 0, refused: {} };
    counts.set(key, row);
    if (outcome === undefined) row.accepted = count;
    else row.refused[outcome] = count;
  }
  return [...counts.values()];
}

/** Every row, page by page. */
async function* pages(
  ask: AskMonitor,
  op: "coverage" | "verifications",
  since: number,
): AsyncGenerator<MemberReader, void> {
  let from: number | null = 0;
  while (from !== null) {
    // oxlint-disable-next-line no-await-in-loop -- each page says where the next begins
    const answer: MemberReader = new MemberReader(await ask({ op, since, from }), op);
    for (const item of answer.array("items", PAGE)) yield readerOf(item, op);
    from = answer.isNull("next") ? null : answer.integer("next", from + 1, MAX);
  }
}

function readerOf(value: JsonValue, op: string): MemberReader {
  return new MemberReader(isJsonObject(value) ? value : {}, op);
}

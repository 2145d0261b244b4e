import { REPORT_LIMITS } from "./report-limits.ts";
import type { TokenErrorCode } from "./token-error.ts";

/** Access token or ID token. */
export type TokenKind = "at" | "id";

/** One decision of a verifier. */
export interface Decision {
  readonly kind: TokenKind;
  /** Issuer template of the key that the token named; undefined where it named no key that the verifier knows. */
  readonly issuer: string | undefined;
  /** Undefined if the token was accepted. */
  readonly refusal?: TokenErrorCode;
}

/** docs/spec/reports.md §7. */
export interface CountRow {
  readonly issuer?: string;
  readonly kind: TokenKind;
  accepted: number;
  readonly refused: Record<string, number>;
}

export interface Counts {
  /** Seconds since the epoch. */
  readonly from: number;
  readonly sdk: string;
  readonly rows: readonly CountRow[];
}

/** Name and version of this package, as reports say it. */
export const SDK = "redoubt-verify/0.1.0";

const PERIOD_MS = 60_000;

/** What was accepted and refused since the last report of it; at most one row for each issuer and kind. */
export class ReportCounts {
  #fromMs: number | undefined;
  readonly #rows = { at: new Map<string, CountRow>(), id: new Map<string, CountRow>() };

  add({ kind, issuer, refusal }: Decision, now: () => number): void {
    this.#fromMs ??= now();
    const row = this.#rowOf(kind, issuer?.slice(0, REPORT_LIMITS.issuerChars));
    if (refusal === undefined) row.accepted += 1;
    else row.refused[refusal] = (row.refused[refusal] ?? 0) + 1;
  }

  /** Whether the oldest count is a minute old; with `isLast`, whether there is any. */
  isDue(nowMs: number, isLast: boolean): boolean {
    if (this.#fromMs === undefined) return false;
    // Math.abs: after the clock was set back the counts must still go out.
    return isLast || Math.abs(nowMs - this.#fromMs) >= PERIOD_MS;
  }

  /** Forgets what it returns: as many rows as one report takes. */
  take(): Counts {
    const from = Math.floor((this.#fromMs ?? 0) / 1000);
    const maps = Object.values(this.#rows);
    const rows = maps.flatMap((map) => [...map.values()]).slice(0, REPORT_LIMITS.countRows);
    for (const { kind, issuer } of rows) this.#rows[kind].delete(issuer ?? "");
    if (maps.every(({ size }) => size === 0)) this.#fromMs = undefined;
    return { from, sdk: SDK, rows };
  }

  /** Adds counts that the monitor did not take to what was counted since. */
  putBack({ from, rows }: Counts): void {
    this.#fromMs = from * 1000;
    for (const { kind, issuer, accepted, refused } of rows) {
      const row = this.#rowOf(kind, issuer);
      row.accepted += accepted;
      for (const [code, count] of Object.entries(refused))
        row.refused[code] = (row.refused[code] ?? 0) + count;
    }
  }

  #rowOf(kind: TokenKind, issuer = ""): CountRow {
    const rows = this.#rows[kind];
    const known = rows.get(issuer);
    if (known !== undefined) return known;
    const row = { ...(issuer !== "" && { issuer }), kind, accepted: 0, refused: {} };
    rows.set(issuer, row);
    return row;
  }
}

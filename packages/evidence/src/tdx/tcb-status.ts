import { EvidenceError } from "../evidence-error.ts";
import { type CollateralReader, wrongCollateral } from "./collateral-reader.ts";

/** Intel's verdict on a level, the best first. */
export const TCB_STATUSES = [
  "UpToDate",
  "SWHardeningNeeded",
  "ConfigurationNeeded",
  "ConfigurationAndSWHardeningNeeded",
  "OutOfDate",
  "OutOfDateConfigurationNeeded",
  "Revoked",
] as const;

export type TcbStatus = (typeof TCB_STATUSES)[number];

export interface TcbVerdict {
  readonly status: TcbStatus;
  /** Milliseconds since 1970: how old what runs is. */
  readonly date: number;
  readonly advisoryIds: readonly string[];
}

const MAX_ADVISORIES = 200;
const ADVISORY = /^INTEL-SA-\d{5}$/;

/** Reads status, date and advisories of one level. */
export function parseVerdict(level: CollateralReader): TcbVerdict {
  const text = level.text("tcbStatus");
  const status = TCB_STATUSES.find((one) => one === text);
  if (status === undefined) throw wrongCollateral(`${level.part}.tcbStatus`, "unknown status");
  const advisoryIds = level.optionalList("advisoryIDs", MAX_ADVISORIES).map((value) => {
    if (typeof value !== "string" || !ADVISORY.test(value))
      throw wrongCollateral(`${level.part}.advisoryIDs`, "no advisory");
    return value;
  });
  return { status, date: level.time("tcbDate"), advisoryIds };
}

/**
 * The verdict on all parts together: the worst status, the oldest date, every advisory. What needs configuration on top of
 * an update keeps both.
 *
 * @throws EvidenceError `ERR_EVIDENCE_REVOKED`
 */
export function joinVerdicts(platform: TcbVerdict, others: readonly TcbVerdict[]): TcbVerdict {
  const all = [platform, ...others];
  const rank = Math.max(...all.map(({ status }) => TCB_STATUSES.indexOf(status)));
  const worst = TCB_STATUSES[rank] ?? "Revoked";
  if (worst === "Revoked")
    throw new EvidenceError("ERR_EVIDENCE_REVOKED", "Intel has revoked this level of firmware", {
      part: "tcb.status",
      found: worst,
    });
  const isBoth = worst === "OutOfDate" && platform.status.startsWith("Configuration");
  return {
    status: isBoth ? "OutOfDateConfigurationNeeded" : worst,
    date: Math.min(...all.map(({ date }) => date)),
    advisoryIds: [...new Set(all.flatMap(({ advisoryIds }) => advisoryIds))].toSorted(),
  };
}

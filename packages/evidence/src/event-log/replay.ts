import { createHash } from "node:crypto";
import { EvidenceError } from "../evidence-error.ts";
import { TPM_HASHES, type TpmHash } from "../tpm/algorithms.ts";
import { type BootEvent, EVENT_TYPES, type EventLog } from "./event-log.ts";

const STARTUP_LOCALITY = Buffer.from("StartupLocality\0");
const MAX_LOCALITY = 4;

/** A log whose events lead to values that were signed. Only facts of `registers` are worth anything. */
export interface ReplayedLog extends EventLog {
  readonly bank: TpmHash;
  /** Registers whose values the log explains, and that were checked. */
  readonly registers: ReadonlySet<number>;
}

/**
 * Holds a log to register values that a signature covers.
 *
 * @param values by register; each must be what the log's events make of it, zero where it has none
 * @throws EvidenceError `ERR_EVIDENCE_REPLAY`; `part` names the register
 */
export function checkReplay(
  log: EventLog,
  values: ReadonlyMap<number, Uint8Array>,
  bank: TpmHash,
): ReplayedLog {
  const replayed = replay(log, bank);
  const untouched = Buffer.alloc(TPM_HASHES[bank].size);
  for (const [register, value] of values) {
    const found = replayed.get(register) ?? untouched;
    if (!found.equals(value))
      throw new EvidenceError(
        "ERR_EVIDENCE_REPLAY",
        "Event log does not lead to the signed value",
        {
          part: `eventLog.registers[${register}]`,
          found: found.toString("hex"),
          expected: Buffer.from(value).toString("hex"),
        },
      );
  }
  return { ...log, bank, registers: new Set(values.keys()) };
}

/** Register values that the events of a log lead to, in one bank. */
export function replay({ kind, events }: EventLog, bank: TpmHash): ReadonlyMap<number, Buffer> {
  const values = new Map<number, Buffer>();
  for (const event of events) {
    if (event.type === EVENT_TYPES.noAction) {
      const locality = kind === "tcg2" ? startupLocality(event) : undefined;
      // PFP §10.4.5.3: it comes before anything is measured into PCR 0.
      if (locality !== undefined && values.has(0)) throw misplaced();
      if (locality !== undefined) values.set(0, startOfPcr0(locality, bank));
      continue;
    }
    const digest = event.digests.get(bank);
    if (digest === undefined)
      throw new EvidenceError("ERR_EVIDENCE_REPLAY", "Event log has no digests of this bank", {
        part: "eventLog",
        expected: bank,
      });
    const before = values.get(event.register) ?? Buffer.alloc(digest.length);
    values.set(event.register, createHash(bank).update(before).update(digest).digest());
  }
  return values;
}

/** Field report A11: after a start at locality 3, PCR 0 begins at 3 and not at zero. */
function startupLocality({ register, data }: BootEvent): number | undefined {
  const isOne =
    register === 0 &&
    data.length === STARTUP_LOCALITY.length + 1 &&
    data.subarray(0, STARTUP_LOCALITY.length).equals(STARTUP_LOCALITY);
  if (!isOne) return undefined;
  const locality = data.readUInt8(STARTUP_LOCALITY.length);
  if (locality > MAX_LOCALITY) throw misplaced();
  return locality;
}

function startOfPcr0(locality: number, bank: TpmHash): Buffer {
  const value = Buffer.alloc(TPM_HASHES[bank].size);
  value.writeUInt8(locality, value.length - 1);
  return value;
}

function misplaced(): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_FORMAT", "Event log: impossible locality of the start", {
    part: "eventLog",
  });
}

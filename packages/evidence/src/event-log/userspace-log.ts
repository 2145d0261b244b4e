import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseJsonObject,
} from "@redoubt/verify/json";
import { EvidenceError } from "../evidence-error.ts";
import { TPM_HASHES, type TpmHash } from "../tpm/algorithms.ts";
import { type BootEvent, EVENT_TYPES, type EventLog } from "./event-log.ts";

const MAX_BYTES = 1_048_576;
const MAX_EVENTS = 4096;
const RECORD_SEPARATOR = "\u001e";
/** What userspace may measure into; what is below belongs to firmware and loader. */
const PCRS = [8, 9, 10, 11, 12, 13, 14, 15] as const;
const HASHES: readonly TpmHash[] = ["sha256", "sha384", "sha512"];

/**
 * Appends what systemd measured after the kernel had started: phases of the boot, machine id, file systems. Without it PCR 11
 * and 15 of a machine that runs systemd lead nowhere. The form is a sequence of JSON texts (RFC 7464), as in
 * /run/log/systemd/tpm2-measure.log.
 *
 * @throws EvidenceError `ERR_EVIDENCE_FORMAT`, `ERR_EVIDENCE_SIZE`
 */
export function appendUserspaceLog(log: EventLog, text: Uint8Array): EventLog {
  if (text.length > MAX_BYTES)
    throw new EvidenceError("ERR_EVIDENCE_SIZE", "Userspace log is too large", {
      part: "userspaceLog",
      found: text.length,
      expected: MAX_BYTES,
    });
  const [before, ...records] = Buffer.from(text).toString("utf8").split(RECORD_SEPARATOR);
  if (before !== "" || records.length > MAX_EVENTS) throw malformed("not a sequence of JSON texts");
  return { ...log, events: [...log.events, ...records.map(parseRecord)] };
}

function parseRecord(record: string): BootEvent {
  const { pcr, digests, content } = parse(record);
  const register = PCRS.find((one) => one === pcr);
  if (register === undefined) throw malformed("impossible PCR");
  if (!Array.isArray(digests) || digests.length > HASHES.length + 1) throw malformed("digests");
  const known = digests.flatMap(parseDigest);
  const said = isJsonObject(content) ? content["string"] : undefined;
  return {
    register,
    type: EVENT_TYPES.eventTag,
    digests: new Map(known),
    data: Buffer.from(typeof said === "string" ? said : ""),
  };
}

function parse(record: string): JsonObject {
  try {
    return parseJsonObject(record);
  } catch (cause) {
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", "Userspace log: not JSON", {
      part: "userspaceLog",
      cause,
    });
  }
}

function parseDigest(value: JsonValue): readonly (readonly [TpmHash, Buffer])[] {
  if (!isJsonObject(value)) throw malformed("digests");
  const { hashAlg, digest } = value;
  const hash = HASHES.find((name) => name === hashAlg);
  if (hash === undefined) return [];
  const bytes = Buffer.from(typeof digest === "string" ? digest : "", "hex");
  if (bytes.length !== TPM_HASHES[hash].size) throw malformed("size of a digest");
  return [[hash, bytes]];
}

function malformed(problem: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_FORMAT", `Userspace log: ${problem}`, {
    part: "userspaceLog",
  });
}

import { DER_TAGS, type DerNode } from "./der.ts";
import { EvidenceError } from "./evidence-error.ts";

const MAX_OID_BYTES = 32;
const MAX_COUNTER_BYTES = 6;

/** An OBJECT IDENTIFIER in dotted decimal; compared whole, never by its beginning. */
export function derOid({ value }: DerNode, what: string): string {
  const last = value.at(-1);
  if (last === undefined || last >= 0x80 || value.length > MAX_OID_BYTES)
    throw malformed(what, "object identifier");
  const arcs: bigint[] = [];
  let arc = 0n;
  for (const byte of value) {
    // X.690 §8.19.2: the first byte of an arc is never 0x80.
    if (arc === 0n && byte === 0x80) throw malformed(what, "object identifier");
    arc = arc * 128n + BigInt(byte & 0x7f);
    if (byte >= 0x80) continue;
    arcs.push(arc);
    arc = 0n;
  }
  const [first = 0n, ...rest] = arcs;
  const top = first < 80n ? first / 40n : 2n;
  return [top, first - top * 40n, ...rest].join(".");
}

/** The bytes of an INTEGER that is not negative, without the byte that keeps the sign. */
export function derUnsigned({ value }: DerNode, what: string): Buffer {
  const [first, second = 0] = value;
  // X.690 §8.3.2: shortest form; a serial number, a level or a counter is never negative (RFC 5280 §4.1.2.2).
  if (first === undefined || first >= 0x80 || (first === 0 && value.length > 1 && second < 0x80))
    throw malformed(what, "integer");
  return first === 0 && value.length > 1 ? value.subarray(1) : value;
}

/** An INTEGER or ENUMERATED that fits a number. */
export function derNumber(node: DerNode, what: string): number {
  const bytes = derUnsigned(node, what);
  if (bytes.length > MAX_COUNTER_BYTES) throw malformed(what, "integer out of range");
  return bytes.readUIntBE(0, bytes.length);
}

export function derBoolean({ value }: DerNode, what: string): boolean {
  // X.690 §11.1: true is 0xff.
  if (value.length !== 1 || (value[0] !== 0 && value[0] !== 0xff)) throw malformed(what, "boolean");
  return value[0] === 0xff;
}

/** A BIT STRING of whole bytes, as signatures and keys are. */
export function derBitString({ value }: DerNode, what: string): Buffer {
  if (value[0] !== 0) throw malformed(what, "bit string");
  return value.subarray(1);
}

const UTC_TIME = /^(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/;
const GENERALIZED_TIME = /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/;

/** UTCTime or GeneralizedTime as RFC 5280 §4.1.2.5 allows them, in milliseconds since 1970. */
export function derTime({ tag, value }: DerNode, what: string): number {
  const isUtc = tag === DER_TAGS.utcTime;
  if (!isUtc && tag !== DER_TAGS.generalizedTime) throw malformed(what, "time");
  const match = (isUtc ? UTC_TIME : GENERALIZED_TIME).exec(value.toString("latin1"));
  if (match === null) throw malformed(what, "time");
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1)
    .map(Number);
  const century = year >= 50 ? 1900 : 2000;
  const time = new Date(0);
  time.setUTCFullYear(isUtc ? century + year : year, month - 1, day);
  time.setUTCHours(hour, minute, second);
  // February 30 would become March 2: only a time that says the same again is one.
  const digits = time.toISOString().replaceAll(/[-:T]|\.000/g, "");
  if (digits.slice(isUtc ? 2 : 0) !== match[0]) throw malformed(what, "time");
  return time.getTime();
}

function malformed(what: string, problem: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_FORMAT", `${what}: DER, ${problem}`, { part: what });
}

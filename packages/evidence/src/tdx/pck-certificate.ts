import { DER_TAGS, DerReader, readDer } from "../der.ts";
import { derNumber, derOid } from "../der-values.ts";
import { EvidenceError } from "../evidence-error.ts";
import type { Certificate } from "../x509.ts";

/** Which platform, at which level, a PCK certificate is for (Intel SGX PCK Certificate specification §1.3.5). */
export interface PckPlatform {
  /** Tells one processor package from every other. */
  readonly ppid: Buffer;
  readonly fmspc: string;
  readonly pceId: string;
  readonly components: readonly number[];
  readonly pceSvn: number;
}

const SGX = "1.2.840.113741.1.13.1";
const WHAT = "PCK certificate";
const COMPONENTS = 16;

/** @throws EvidenceError `ERR_EVIDENCE_CERTIFICATE` where one of them is missing, or stands twice */
export function parsePckPlatform({ extensions }: Certificate): PckPlatform {
  const extension = extensions.get(SGX);
  if (extension === undefined) throw missing(SGX);
  const values = entriesOf(readDer(extension.value, DER_TAGS.sequence, WHAT).value);
  const tcb = entriesOf(valueOf(values, `${SGX}.2`, DER_TAGS.sequence));
  return {
    ppid: octetsOf(values, `${SGX}.1`, 16),
    fmspc: octetsOf(values, `${SGX}.4`, 6).toString("hex"),
    pceId: octetsOf(values, `${SGX}.3`, 2).toString("hex"),
    components: Array.from({ length: COMPONENTS }, (_, i) => numberOf(tcb, `${SGX}.2.${i + 1}`)),
    pceSvn: numberOf(tcb, `${SGX}.2.${COMPONENTS + 1}`),
  };
}

type Entries = ReadonlyMap<
  string,
  { readonly tag: number; readonly value: Buffer; readonly encoded: Buffer }
>;

function entriesOf(sequence: Buffer): Entries {
  const reader = new DerReader(sequence, WHAT);
  const entries = new Map<string, { tag: number; value: Buffer; encoded: Buffer }>();
  while (!reader.isEmpty) {
    const entry = reader.enter(DER_TAGS.sequence);
    const oid = derOid(entry.next(DER_TAGS.oid), WHAT);
    const node = entry.any();
    entry.end();
    if (entries.has(oid)) throw missing(oid);
    entries.set(oid, node);
  }
  return entries;
}

function valueOf(entries: Entries, oid: string, tag: number): Buffer {
  const node = entries.get(oid);
  if (node?.tag !== tag) throw missing(oid);
  return node.value;
}

function octetsOf(entries: Entries, oid: string, size: number): Buffer {
  const value = valueOf(entries, oid, DER_TAGS.octetString);
  if (value.length !== size) throw missing(oid);
  return value;
}

function numberOf(entries: Entries, oid: string): number {
  const value = valueOf(entries, oid, DER_TAGS.integer);
  return derNumber({ tag: DER_TAGS.integer, value, encoded: value }, WHAT);
}

function missing(oid: string): EvidenceError {
  return new EvidenceError(
    "ERR_EVIDENCE_CERTIFICATE",
    `${WHAT}: missing, twice, or of another form`,
    { part: `certificate.${oid}` },
  );
}

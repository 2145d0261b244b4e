import { isJsonObject, MemberReader } from "@redoubt/base";
import { decodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject, JsonValue } from "@redoubt/verify/json";
import { RemoteError } from "@redoubt/wire";
import type { RegistryItem } from "@redoubt/keys";
import { monitorError } from "../errors.ts";

/** The ledger as the monitor sees it; the socket client fits. What it answers is checked, never believed. */
export interface LedgerPort {
  request(
    head: Readonly<Record<string, unknown>>,
  ): Promise<{ readonly head: JsonObject; readonly attachment: Buffer }>;
}

/** Where a log stands, as the ledger says it. */
export interface UnverifiedState {
  readonly size: number;
  /** Notes; empty when there is none. */
  readonly checkpoint: string;
  readonly cosigned: string;
}

export interface UnverifiedEntries extends UnverifiedState {
  readonly entries: readonly Buffer[];
}

export interface UnverifiedItems extends UnverifiedEntries {
  /** One for each of `entries`. */
  readonly items: readonly RegistryItem[];
}

export const ENTRIES_PER_READ = 4096;
const ITEMS_PER_READ = 512;
const NOT_OPENED: readonly string[] = ["ERR_LEDGER_NOT_FOUND", "ERR_LEDGER_DENIED"];
const MAX_PROOF_HASHES = 64;
const MAX_NOTE_CHARS = 65_536;
const NOT_THERE: UnverifiedEntries & UnverifiedItems = {
  size: 0,
  checkpoint: "",
  cosigned: "",
  entries: [],
  items: [],
};

export async function readEntries(
  ledger: LedgerPort,
  log: string,
  from: number,
  max: number = ENTRIES_PER_READ,
): Promise<UnverifiedEntries> {
  const reply = await existing(ledger, { op: "entries", log, from, max });
  if (!reply) return NOT_THERE;
  const entries = splitEntries(reply.attachment);
  return { ...stateOf(reply.head), entries };
}

export async function readItems(ledger: LedgerPort, from: number): Promise<UnverifiedItems> {
  const reply = await existing(ledger, { op: "registry", from, max: ITEMS_PER_READ });
  if (!reply) return NOT_THERE;
  const items = new MemberReader(reply.head, "ledger answer")
    .array("items", ITEMS_PER_READ)
    .map((item, i) => itemOf(item, from + i));
  return { ...stateOf(reply.head), items, entries: items.map(({ entry }) => entry) };
}

/** The ledger's proof that the tree of size2 continues that of size1. */
export async function readConsistency(
  ledger: LedgerPort,
  log: string,
  size1: number,
  size2: number,
): Promise<Buffer[]> {
  const { head } = await ledger.request({ op: "prove", log, size1, size2 });
  const proof = new MemberReader(head, "ledger answer").strings("proof", MAX_PROOF_HASHES, 64);
  return proof.map((hash) => decodeBase64url(hash, { bytes: 32 }));
}

/** A log that is registered and not opened yet is, to the ledger, one that we may not see. */
async function existing(
  ledger: LedgerPort,
  head: Readonly<Record<string, unknown>>,
): Promise<{ readonly head: JsonObject; readonly attachment: Buffer } | undefined> {
  try {
    return await ledger.request(head);
  } catch (error) {
    if (error instanceof RemoteError && NOT_OPENED.includes(error.code)) return undefined;
    throw error;
  }
}

function stateOf(head: JsonObject): UnverifiedState {
  const size = new MemberReader(head, "ledger answer").integer("size", 0, Number.MAX_SAFE_INTEGER);
  const { checkpoint, cosigned } = head;
  return {
    size,
    checkpoint: noteOf(checkpoint, "checkpoint"),
    cosigned: noteOf(isJsonObject(cosigned) ? cosigned["note"] : cosigned, "cosigned"),
  };
}

function noteOf(value: JsonValue | undefined, name: string): string {
  if (value === null || value === undefined) return "";
  if (typeof value !== "string" || value.length > MAX_NOTE_CHARS) throw malformed(name);
  return value;
}

function itemOf(item: JsonValue, index: number): RegistryItem & { readonly entry: Buffer } {
  if (!isJsonObject(item)) throw malformed("items");
  const reader = new MemberReader(item, "registry item");
  const entry = decodeBase64url(reader.string("entry", 128));
  const statement = reader.optionalString("statement", 256 * 1024);
  const envelope = reader.optionalString("envelope", 4096);
  return {
    index,
    entry,
    ...(statement !== undefined && { statement: decodeBase64url(statement) }),
    ...(envelope !== undefined && { envelope: decodeBase64url(envelope) }),
  };
}

/** docs/spec/wire.md §4: uint16be length ‖ entry, … as views of the attachment. */
function splitEntries(bytes: Buffer): Buffer[] {
  const entries: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < 2 || entries.length >= ENTRIES_PER_READ) throw malformed("entries");
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) throw malformed("entries");
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

function malformed(what: string): Error {
  return monitorError("ERR_MONITOR_LEDGER", `Ledger answer: ${what} is malformed`);
}

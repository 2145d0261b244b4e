import {
  ask,
  askForBytes,
  LEDGER,
  MAX_ENTRIES,
  MAX_STATEMENTS,
  RemoteError,
  type Requester,
} from "@redoubt/wire";
import type { RegistryItem } from "@redoubt/registry";
import { monitorError } from "../errors.ts";

/** Where a log stands, as the ledger says it. What it answers is checked, never believed. */
interface UnverifiedState {
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

const NOT_OPENED: readonly string[] = ["ERR_LEDGER_NOT_FOUND", "ERR_LEDGER_DENIED"];
const NOTHING: UnverifiedState = { size: 0, checkpoint: "", cosigned: "" };

export async function readEntries(
  ledger: Requester,
  origin: string,
  from: number,
  max: number = MAX_ENTRIES,
): Promise<UnverifiedEntries> {
  const reply = await existing(askForBytes(ledger, LEDGER.entries, { log: origin, from, max }));
  if (!reply) return { ...NOTHING, entries: [] };
  return { ...reply.answer, entries: splitEntries(reply.attachment) };
}

export async function readItems(ledger: Requester, from: number): Promise<UnverifiedItems> {
  const page = await existing(ask(ledger, LEDGER.registry, { from, max: MAX_STATEMENTS }));
  if (!page) return { ...NOTHING, entries: [], items: [] };
  const items = page.items.map((item, i) => ({ ...item, index: from + i }));
  return { ...page, items, entries: items.map(({ entry }) => entry) };
}

/** Undefined for a log that is registered and not opened yet: the ledger refuses it like one that we may not see. */
async function existing<T>(reply: Promise<T>): Promise<T | undefined> {
  try {
    return await reply;
  } catch (error) {
    if (error instanceof RemoteError && NOT_OPENED.includes(error.code)) return undefined;
    throw error;
  }
}

/** docs/spec/wire.md §4: uint16be length ‖ entry, … as views of the attachment. */
function splitEntries(bytes: Buffer): Buffer[] {
  const entries: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < 2 || entries.length >= MAX_ENTRIES) throw malformed();
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) throw malformed();
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}

function malformed(): Error {
  return monitorError("ERR_MONITOR_LEDGER", "Ledger answer: entries are malformed");
}

import { ServiceError } from "@redoubt/base";
import type { ClosedLog } from "@redoubt/registry";
import type { SignerConfig } from "../config.ts";
import type { SignerEvents } from "../events.ts";
import type { RegistryView } from "../registry/registry-view.ts";
import { readJournal, removeJournal } from "./entry-journal.ts";
import type { LogWriter } from "./log-writer.ts";

export interface CarryOptions {
  readonly config: Pick<SignerConfig, "origin">;
  readonly view: Pick<RegistryView, "registry">;
  readonly events: SignerEvents;
  /** The signer's folder of journals. */
  readonly journals: string;
  readonly writer: Pick<LogWriter, "submit">;
}

/**
 * The operator closes a log at a size. Entries that were acknowledged after that size are appended to the log that
 * takes its place, before anything is signed there: a token whose entry is in no log would be taken for a forgery.
 * After a crash half-way this is done again; a second entry of a token says nothing new.
 */
export async function carryEntries({ config, view, ...options }: CarryOptions): Promise<void> {
  const { closedLogs } = view.registry;
  for (let { origin } = config; ;) {
    const before = [...closedLogs.values()].find(({ successor }) => successor === origin);
    if (!before) return;
    await carryFrom(before, options);
    ({ log: origin } = before);
  }
}

async function carryFrom(
  { log: origin, size }: ClosedLog,
  { journals: folder, writer, events }: Omit<CarryOptions, "config" | "view">,
): Promise<void> {
  const batches = readJournal({ folder, origin }).filter(({ first, sealed }) => {
    return first + sealed.entries.length > size;
  });
  for (const { sealed } of batches) await writer.submit(sealed);
  const count = batches.reduce((sum, { sealed }) => sum + sealed.entries.length, 0);
  if (count > 0) events.entriesCarried(origin, count);
  removeJournal({ folder, origin });
}

export function closedLog({ log, successor }: ClosedLog): ServiceError {
  return new ServiceError(
    "ERR_LOG_CLOSED",
    `Log ${log} was closed and ${successor} takes its place: restart with the configuration that "redoubt recover" wrote`,
  );
}

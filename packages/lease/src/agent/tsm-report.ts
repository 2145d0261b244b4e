import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { errorCode, ServiceError } from "@redoubt/base";
import { isMissing } from "./read-bounded.ts";
import type { TsmFiles } from "./tsm-files.ts";

export const TSM_FOLDER = "/sys/kernel/config/tsm/report";

/** What the kernel's providers of reports are called (Documentation/ABI/testing/configfs-tsm-report). */
export type TsmProvider = "sev_guest" | "tdx_guest";

export interface TsmReport {
  readonly provider: TsmProvider;
  /** The report or quote. */
  readonly outblob: Buffer;
  /** Of SNP: the host's certificates. Empty where it gave none. */
  readonly auxblob: Buffer;
}

export interface TsmOptions {
  readonly files: TsmFiles;
  /** Default: `TSM_FOLDER`. */
  readonly folder?: string | undefined;
  /** VMPL of the report, from the kernel's `privlevel_floor` to 3. Default: the kernel's. */
  readonly privilegeLevel?: number | undefined;
  /** Before another attempt. */
  readonly pauseMs?: number;
}

const ATTEMPTS = 5;
/** A TDX quote comes from another machine's process: a second is usual. */
const PAUSE_MS = 500;
const PROVIDERS: readonly TsmProvider[] = ["sev_guest", "tdx_guest"];
/** Another quote is being made, or a signal came. */
const PASSING: readonly string[] = ["EBUSY", "EINTR", "EAGAIN"];
const GENERATION = /^(?:0|[1-9]\d{0,19})$/;

/**
 * Has the kernel make a report over 64 bytes, in an entry of its own, which is removed whatever happens.
 *
 * @throws ServiceError `ERR_ATTESTER_TSM`, `ERR_ATTESTER_BUSY`, `ERR_ATTESTER_PROVIDER`
 */
export async function makeTsmReport(inblob: Uint8Array, options: TsmOptions): Promise<TsmReport> {
  const { pauseMs = PAUSE_MS } = options;
  let cause: unknown;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    // One after the other: the next attempt is made only if somebody else was in between.
    if (attempt > 0) await setTimeout(pauseMs);
    try {
      const report = await inOwnEntry(inblob, options);
      if (report !== undefined) return report;
    } catch (error) {
      if (error instanceof ServiceError) throw error;
      cause = error;
      if (!PASSING.includes(errorCode(error)))
        throw new ServiceError("ERR_ATTESTER_TSM", "The kernel makes no report", { cause });
    }
  }
  throw new ServiceError("ERR_ATTESTER_BUSY", `No report in ${ATTEMPTS} attempts`, { cause });
}

async function inOwnEntry(inblob: Uint8Array, options: TsmOptions): Promise<TsmReport | undefined> {
  const { files, folder = TSM_FOLDER } = options;
  // Nobody who does not see the folder knows the name.
  const entry = join(folder, `redoubt-${randomBytes(8).toString("hex")}`);
  await files.mkdir(entry);
  const report = await gather(entry, inblob, options).catch(async (error: unknown) => {
    // Of two failures the first is the cause.
    await files.rmdir(entry).catch(() => undefined);
    throw error;
  });
  await files.rmdir(entry).catch((cause: unknown) => {
    // Not tried again: each attempt would leave one more behind.
    throw new ServiceError("ERR_ATTESTER_TSM", `Cannot remove ${entry}`, { cause });
  });
  return report;
}

/** Undefined where it may be another's report. */
async function gather(
  entry: string,
  inblob: Uint8Array,
  { files, privilegeLevel }: TsmOptions,
): Promise<TsmReport | undefined> {
  const provider = (await readText(files, join(entry, "provider"))).trim();
  const known = PROVIDERS.find((one) => one === provider);
  if (known === undefined)
    throw new ServiceError("ERR_ATTESTER_PROVIDER", `Unknown provider of reports: ${provider}`);
  const before = await readGeneration(files, entry);
  if (privilegeLevel !== undefined)
    await files.write(join(entry, "privlevel"), Buffer.from(String(privilegeLevel)));
  await files.write(join(entry, "inblob"), inblob);
  const outblob = await files.read(join(entry, "outblob"));
  const auxblob = known === "sev_guest" ? await readAuxblob(files, entry) : Buffer.alloc(0);
  // The kernel takes `inblob` when it is closed and tells nobody if it does not: a write of ours that was lost shows
  // here, as one of somebody else does.
  const writes = privilegeLevel === undefined ? 1n : 2n;
  const isOurs = (await readGeneration(files, entry)) === before + writes;
  return isOurs ? { provider: known, outblob, auxblob } : undefined;
}

async function readText(files: TsmFiles, path: string): Promise<string> {
  return (await files.read(path)).toString("latin1");
}

async function readGeneration(files: TsmFiles, entry: string): Promise<bigint> {
  const text = (await readText(files, join(entry, "generation"))).trim();
  if (!GENERATION.test(text))
    throw new ServiceError("ERR_ATTESTER_TSM", "The kernel's generation is no number");
  return BigInt(text);
}

async function readAuxblob(files: TsmFiles, entry: string): Promise<Buffer> {
  try {
    return await files.read(join(entry, "auxblob"));
  } catch (error) {
    if (isMissing(error)) return Buffer.alloc(0);
    throw error;
  }
}

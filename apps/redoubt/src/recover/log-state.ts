import { hash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errorCode, errorLine, ServiceError } from "@redoubt/base";
import { EMPTY_ROOT, logId, openCheckpoint, openWitnessed, type VerifierKey } from "@redoubt/tlog";
import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import { systemKeys, type LogKeys } from "../ledger/log-keys.ts";
import { fetchBytes } from "../loopback.ts";
import type { Operator } from "../operator.ts";
import { ask, LEDGER, MONITOR, type Answered } from "@redoubt/wire";
import { readStatusPage, type Place } from "../running.ts";

/** A checkpoint with the signatures of all keys of its log and of the witness. */
export interface CosignedNote {
  readonly note: string;
  readonly size: number;
  readonly root: Buffer;
  /** Where it was found. */
  readonly from: string;
}

/** What is known of one log, from everybody who keeps something of it. */
export interface LogState {
  readonly log: string;
  /** What the ledger holds; undefined where it has halted the log. */
  readonly ledgerSize: number | undefined;
  readonly ledgerProblem: string | undefined;
  /** What the witness holds; undefined where it does not say. */
  readonly witness: { readonly size: number; readonly root: Buffer } | undefined;
  /** Why the signer that writes this log does not take it up. */
  readonly signerProblem: string | undefined;
  /** Why the witness no longer cosigns this log. */
  readonly witnessHalt: string | undefined;
  /** The largest tree of which a cosigned checkpoint was found. */
  readonly newest: CosignedNote | undefined;
}

const MAX_NOTE_BYTES = 64 * 1024;

/** Looks at every log that this system names, and changes nothing. */
export async function lookAtLogs(operator: Operator, place: Place): Promise<LogState[]> {
  const halts = await witnessHalts(operator);
  const keys = systemKeys(place.settings, await tryRegistry(operator));
  const closed = operator.registry.closedLogs;
  const signers = await signerProblems(place);
  const states: LogState[] = [];
  for (const [log, own] of keys)
    if (!closed.has(log))
      states.push(await lookAt(operator, place, { log, keys: own, halts, signers }));
  return states;
}

/** The registry as far as it can be read: where the ledger has halted it, what was read before. */
async function tryRegistry(operator: Operator): Promise<Operator["registry"]> {
  try {
    return await operator.readRegistry();
  } catch {
    return operator.registry;
  }
}

type MonitorLog = NonNullable<Answered<typeof MONITOR.status>["logs"]>[number];

/** Every log as the monitor's status shows it. */
export async function monitorLogs(operator: Operator): Promise<readonly MonitorLog[]> {
  return (await ask(operator.client("monitor"), MONITOR.status, {})).logs ?? [];
}

async function witnessHalts(operator: Operator): Promise<ReadonlyMap<string, MonitorLog>> {
  return new Map((await monitorLogs(operator)).map((one) => [one.log, one]));
}

/** By log: why its signer does not take it up, as the signer says it. */
async function signerProblems(place: Place): Promise<ReadonlyMap<string, string>> {
  const status = Object.entries(await readStatusPage(place.ports));
  return new Map(
    status.flatMap(([, own]) => {
      if (!isJsonObject(own)) return [];
      const { log, trouble, reason } = own;
      const isRefused = typeof trouble === "string" && /^ERR_(?:LOG|REGISTRY)_/.test(trouble);
      return isRefused && typeof log === "string" && typeof reason === "string"
        ? [[log, reason]]
        : [];
    }),
  );
}

async function lookAt(
  operator: Operator,
  place: Place,
  {
    log,
    keys,
    halts,
    signers,
  }: {
    readonly log: string;
    readonly keys: LogKeys;
    readonly halts: ReadonlyMap<string, JsonObject>;
    readonly signers: ReadonlyMap<string, string>;
  },
): Promise<LogState> {
  const [witnessKey] = keys.optional;
  if (!witnessKey) throw new TypeError("Every system pins a witness");
  const ledger = await askLedger(operator, log);
  const halt = halts.get(log)?.["halted"];
  const candidates = [
    { from: "the ledger", note: ledger.cosigned },
    { from: "the ledger's published folder", note: publishedNote(operator.folder, log) },
    { from: "the witness", note: await witnessNote(place, log) },
  ];
  const notes = candidates.flatMap((one) => openCosigned(one, log, { ...keys, witnessKey }));
  return {
    log,
    ledgerSize: ledger.size,
    ledgerProblem: ledger.problem,
    witness: await askWitness(operator, { log, halt, notes, witnessKey }),
    signerProblem: signers.get(log),
    witnessHalt: typeof halt === "string" ? halt : undefined,
    newest: notes.toSorted((a, b) => b.size - a.size)[0],
  };
}

async function askLedger(operator: Operator, log: string) {
  try {
    const { size, cosigned } = await ask(operator.client("ledger"), LEDGER.state, { log });
    return { size, cosigned, problem: undefined };
  } catch (error) {
    return { size: undefined, cosigned: "", problem: errorLine(error) };
  }
}

/** What the witness holds of a log now; of a log that it has halted, the newest checkpoint that it shows. */
async function askWitness(
  operator: Operator,
  {
    log,
    halt,
    notes,
    witnessKey,
  }: {
    readonly log: string;
    readonly halt: unknown;
    readonly notes: readonly CosignedNote[];
    readonly witnessKey: VerifierKey;
  },
): Promise<LogState["witness"]> {
  if (typeof halt === "string")
    return notes.find(({ from }) => from === "the witness") ?? { size: 0, root: EMPTY_ROOT };
  const question = { log, nonce: randomBytes(16).toString("base64url") };
  try {
    const { note } = await ask(operator.client("monitor"), MONITOR.witnessed, question);
    return openWitnessed(note, question, witnessKey);
  } catch {
    return undefined;
  }
}

function publishedNote(folder: string, log: string): string {
  try {
    return readFileSync(join(folder, "ledger", "published", logId(log), "checkpoint"), "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "";
    throw error;
  }
}

async function witnessNote({ ports }: Place, log: string): Promise<string> {
  const url = `http://127.0.0.1:${ports.monitor}/${hash("sha256", log)}/checkpoint`;
  const { status, body } = await fetchBytes(url, MAX_NOTE_BYTES);
  if (status === 404) return "";
  if (status === 200) return body.toString("utf8");
  throw new ServiceError("ERR_FETCH", `${url} answered ${status}`);
}

/** Opens a note that all keys of the log and the witness have signed; an empty list for any other. */
export function openCosigned(
  { from, note }: { readonly from: string; readonly note: string },
  log: string,
  { required, witnessKey }: Pick<LogKeys, "required"> & { readonly witnessKey: VerifierKey },
): CosignedNote[] {
  const verifiers = [...required, witnessKey];
  try {
    const { size, root, verified } = openCheckpoint(note, { origin: log, verifiers });
    const names = new Set(verified.map(({ name }) => name));
    return verifiers.every(({ name }) => names.has(name)) ? [{ note, size, root, from }] : [];
  } catch {
    return [];
  }
}

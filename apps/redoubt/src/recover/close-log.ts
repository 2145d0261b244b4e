import { join } from "node:path";
import { MemberReader, ServiceError } from "@redoubt/base";
import { initialise as initialiseLedger } from "@redoubt/ledger/initialise";
import { initialiseLog } from "@redoubt/signer/initialise";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import { EXIT, type CommandContext } from "../command.ts";
import { confirm } from "../confirm.ts";
import { checkRealm, withOperator, type Operator } from "../operator.ts";
import type { Place } from "../running.ts";
import { readSettings, withKeys, writeSettings } from "../settings.ts";
import type { Terminal } from "../terminal.ts";
import { lookUntil } from "../wait.ts";
import { lookAtLogs, monitorLogs } from "./log-state.ts";
import { PATIENCE, restartServices } from "./restart.ts";
import { changeConfig, readConfig } from "./service-config.ts";

export interface LogOptions {
  readonly realm: string;
  readonly reason: string;
  readonly yes?: boolean;
}

/** Closes a realm's log and lets another take its place, with new keys of log and writer. */
export function recoverLog(context: CommandContext, options: LogOptions): Promise<number> {
  const { terminal } = context;
  return withOperator(context, async (operator, place) => {
    const plan = await planClosing(operator, place, options.realm);
    for (const line of plan.lines) terminal.notice(line);
    await confirm(context, `Closing ${plan.log}`, options.yes);
    const done = await closeLog(operator, place, { plan, reason: options.reason, terminal });
    const text = `${done.log} is closed at ${done.size} entries; ${done.successor} takes its place, and ${options.realm} issues again`;
    terminal.result({ json: done, text });
    return EXIT.ok;
  });
}

interface ClosingPlan {
  readonly realm: string;
  readonly log: string;
  /** What the witness cosigned last: where the log ends. */
  readonly size: number;
  readonly root: Buffer;
  readonly successor: string;
  /** The registry says already that the log is closed: an earlier attempt got that far. */
  readonly isStated: boolean;
  /** For a person. */
  readonly lines: readonly string[];
}

interface Closed {
  readonly realm: string;
  readonly log: string;
  readonly size: number;
  readonly successor: string;
}

/** @throws ServiceError `ERR_RECOVER` if the log cannot be closed now; the message says what must be done before */
async function planClosing(operator: Operator, place: Place, realm: string): Promise<ClosingPlan> {
  checkRealm(operator, realm);
  const registry = await operator.readRegistry();
  const log = new MemberReader(readConfig(operator.folder, `signer-${realm}`), "config").string(
    "log",
  );
  const stated = registry.closedLogs.get(log);
  if (stated) return { ...stated, realm, isStated: true, lines: linesOf(stated, undefined) };
  const states = await lookAtLogs(operator, place);
  const state = states.find((one) => one.log === log);
  if (!state?.witness)
    throw new ServiceError(
      "ERR_RECOVER",
      `The witness does not say what it cosigned of ${log}: bring the monitor back first`,
    );
  if (state.witnessHalt === "witness-rollback")
    throw new ServiceError(
      "ERR_RECOVER",
      `The witness has forgotten something of ${log}: redoubt recover witness comes first`,
    );
  const { size, root } = state.witness;
  const successor = nameAfter(log, (name) => {
    // A name that an earlier attempt chose, and under which no key was made, is free.
    return (
      registry.closedLogs.has(name) ||
      [...registry.keys.values()].some((key) => key.record.log === name)
    );
  });
  const plan = { realm, log, size, root, successor };
  return { ...plan, isStated: false, lines: linesOf(plan, state.ledgerSize) };
}

function linesOf(
  {
    log,
    size,
    successor,
    realm,
  }: Omit<ClosingPlan, "isStated" | "lines" | "realm"> & { readonly realm: string },
  ledgerSize: number | undefined,
): string[] {
  const held = ledgerSize === undefined ? "" : `; the ledger holds ${ledgerSize}`;
  return [
    `${log} ends at ${size} entries, what the witness cosigned last${held}.`,
    `${successor} takes its place, with new keys of log and writer; token keys and issuers stay as they are.`,
    `Entries that no witness has seen are appended there again from the signer's journal.`,
    `Ledger and signer-${realm} are restarted: no tokens of ${realm} for a few seconds.`,
  ];
}

function nameAfter(log: string, isUsed: (name: string) => boolean): string {
  const [, base = log, number = "1"] = /^(.*?)(?:-(\d+))?$/.exec(log) ?? [];
  for (let next = Number(number) + 1; ; next += 1)
    if (!isUsed(`${base}-${next}`)) return `${base}-${next}`;
}

/**
 * Each step can be done again: after a crash anywhere in between, the same command goes on. Everything is said in the
 * registry before a configuration changes; between the two the signer writes to neither log.
 */
async function closeLog(
  operator: Operator,
  place: Place,
  {
    plan,
    reason,
    terminal,
  }: { readonly plan: ClosingPlan; readonly reason: string; readonly terminal: Terminal },
): Promise<Closed> {
  const { realm, log, size, root, successor } = plan;
  const keys = await makeKeys(operator.folder, realm, successor);
  const registry = await operator.readRegistry();
  if (!registry.writers.has(successor))
    await operator.state({ type: "writer", realm, log: successor, ...keys });
  if (!plan.isStated) {
    const body = { realm, log, size, root: encodeBase64url(root), successor, reason };
    await operator.state({ type: "log-closed", ...body });
  }
  await monitorClosed(operator, log, terminal);
  const settings = readSettings(operator.folder);
  writeSettings(operator.folder, withKeys(settings, realm, { log: successor, ...keys }));
  changeConfig(
    operator.folder,
    "ledger",
    closeInLedger({ realm, log, successor, writer: keys.writer }),
  );
  changeConfig(operator.folder, `signer-${realm}`, (config) => ({ ...config, log: successor }));
  await restartServices(place, ["ledger", `signer-${realm}`]);
  return { realm, log, size, successor };
}

async function makeKeys(
  folder: string,
  realm: string,
  successor: string,
): Promise<{ readonly logKey: string; readonly writer: string }> {
  const { logs } = await initialiseLedger(join(folder, "ledger"), { logs: [successor] });
  const writer = initialiseLog(join(folder, `signer-${realm}`), successor);
  return { logKey: logs[0]?.vkey ?? "", writer };
}

function closeInLedger({
  realm,
  log,
  successor,
  writer,
}: {
  readonly realm: string;
  readonly log: string;
  readonly successor: string;
  readonly writer: string;
}): (config: JsonObject) => JsonObject {
  return (config) => {
    const logs = Array.isArray(config["logs"]) ? config["logs"].filter(isJsonObject) : [];
    const others = logs.filter((one) => one["log"] !== successor);
    const closed = others.map((one) => (one["log"] === log ? { ...one, closed: true } : one));
    const next = { log: successor, writer, caller: `signer-${realm}` };
    return { ...config, logs: [...closed, next] };
  };
}

/** Waits until the monitor has read what the ledger still shows of the log, and has closed it. */
async function monitorClosed(operator: Operator, log: string, terminal: Terminal): Promise<void> {
  const isClosed = async (): Promise<boolean> =>
    (await monitorLogs(operator)).some((one) => one["log"] === log && one["halted"] === "closed");
  if (!(await lookUntil(isClosed, Boolean, PATIENCE)))
    terminal.notice(`The monitor has not closed ${log} yet; it does when it reads the registry`);
}

import { join } from "node:path";
import { MemberReader, ServiceError } from "@redoubt/base";
import { initialise as initialiseBroker } from "@redoubt/broker/initialise";
import { initialise as initialiseLedger } from "@redoubt/ledger/initialise";
import type { StatementBody } from "@redoubt/registry";
import { initialiseLog } from "@redoubt/signer/initialise";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import { EXIT, type CommandContext } from "../command.ts";
import { confirm } from "../confirm.ts";
import type { ServiceName } from "../layout.ts";
import { checkRealm, withOperator, type Operator } from "../operator.ts";
import type { Place } from "../running.ts";
import { type BrokerSettings, readSettings, withKeys, writeSettings } from "../settings.ts";
import type { Terminal } from "../terminal.ts";
import { lookUntil } from "../wait.ts";
import { lookAtLogs, monitorLogs } from "./log-state.ts";
import { PATIENCE, restartServices } from "./restart.ts";
import { changeConfig, readConfig } from "./service-config.ts";

export interface LogOptions {
  readonly realm?: string;
  /** The broker's log, which is of no realm. */
  readonly broker?: boolean;
  readonly reason: string;
  readonly yes?: boolean;
}

/** Closes a log and lets another take its place, with new keys of log and writer. */
export function recoverLog(context: CommandContext, options: LogOptions): Promise<number> {
  const { terminal } = context;
  return withOperator(context, async (operator, place) => {
    const plan = await planClosing(operator, place, options.realm);
    for (const line of plan.lines) terminal.notice(line);
    await confirm(context, `Closing ${plan.log}`, options.yes);
    const done = await closeLog(operator, place, { plan, reason: options.reason, terminal });
    const text = `${done.log} is closed at ${done.size} entries; ${done.successor} takes its place, and ${options.realm === undefined ? "leases are granted" : `${options.realm} issues`} again`;
    terminal.result({ json: done, text });
    return EXIT.ok;
  });
}

interface ClosingPlan {
  /** Undefined for the broker's log. */
  readonly realm: string | undefined;
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
  readonly realm?: string;
  readonly log: string;
  readonly size: number;
  readonly successor: string;
}

/** @throws ServiceError `ERR_RECOVER` if the log cannot be closed now; the message says what must be done before */
async function planClosing(
  operator: Operator,
  place: Place,
  realm: string | undefined,
): Promise<ClosingPlan> {
  const log = writtenLog(operator, place, realm);
  const registry = await operator.readRegistry();
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

/** The log that is written now: as its writer's configuration says, which changes last. */
function writtenLog(operator: Operator, { settings }: Place, realm: string | undefined): string {
  if (realm !== undefined) {
    checkRealm(operator, realm);
    const config = readConfig(operator.folder, `signer-${realm}`);
    return new MemberReader(config, "config").string("log");
  }
  if (settings.broker === undefined)
    throw new ServiceError("ERR_RECOVER", "There is no broker here: redoubt leases enable");
  return new MemberReader(readConfig(operator.folder, "broker"), "config")
    .object("log")
    .string("origin");
}

function linesOf(
  { log, size, successor, realm }: Omit<ClosingPlan, "isStated" | "lines">,
  ledgerSize: number | undefined,
): string[] {
  const held = ledgerSize === undefined ? "" : `; the ledger holds ${ledgerSize}`;
  const ends = `${log} ends at ${size} entries, what the witness cosigned last${held}.`;
  if (realm === undefined)
    return [
      ends,
      `${successor} takes its place, with new keys of log and writer. Leases of the old log end at once.`,
      "Ledger, broker, gateways and signers are restarted: no tokens for some seconds.",
    ];
  return [
    ends,
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
  const { folder } = operator;
  const broker = realm === undefined ? readSettings(folder).broker : undefined;
  const keys = await makeKeys(folder, realm, successor);
  const registry = await operator.readRegistry();
  const isNamed = registry.writers.has(successor) || registry.brokers.has(successor);
  if (!isNamed) await operator.state(writerStatement({ realm, log: successor, ...keys }, broker));
  if (!plan.isStated) {
    const body = { log, size, root: encodeBase64url(root), successor, reason };
    await operator.state({ type: "log-closed", ...(realm !== undefined && { realm }), ...body });
  }
  await monitorClosed(operator, log, terminal);
  const caller = realm === undefined ? "broker" : `signer-${realm}`;
  changeConfig(folder, "ledger", closeInLedger({ caller, log, successor, writer: keys.writer }));
  const next = { log: successor, ...keys };
  const changed = realm === undefined ? toBrokerLog(folder, next) : toRealmLog(folder, realm, next);
  await restartServices(place, ["ledger", ...changed]);
  return { ...(realm !== undefined && { realm }), log, size, successor };
}

interface NextLog {
  readonly log: string;
  readonly logKey: string;
  readonly writer: string;
}

function writerStatement(
  { realm, ...next }: NextLog & { readonly realm: string | undefined },
  broker: BrokerSettings | undefined,
): StatementBody {
  if (realm !== undefined) return { type: "writer", realm, ...next };
  return { type: "broker", ...next, realms: broker?.realms ?? [] };
}

/** @returns whom it concerns, beside the ledger */
function toRealmLog(folder: string, realm: string, next: NextLog): readonly ServiceName[] {
  writeSettings(folder, withKeys(readSettings(folder), realm, next));
  const signer = `signer-${realm}` as const;
  changeConfig(folder, signer, (config) => ({ ...config, log: next.log }));
  return [signer];
}

/** The broker's own configuration comes last: until then the same command goes on. */
function toBrokerLog(folder: string, next: NextLog): readonly ServiceName[] {
  const settings = readSettings(folder);
  const { broker } = settings;
  if (broker === undefined) throw new TypeError("There was a broker when the plan was made");
  writeSettings(folder, { ...settings, broker: { ...broker, ...next } });
  const pinned = { origin: next.log, key: next.logKey, writer: next.writer };
  const gateways = broker.realms.map((realm) => `custody-${realm}` as const);
  const signers = broker.realms.map((realm) => `signer-${realm}` as const);
  for (const gateway of gateways)
    changeConfig(folder, gateway, (config) => ({ ...config, log: pinned }));
  for (const signer of signers)
    changeConfig(folder, signer, (config) => ({
      ...config,
      lease: { ...memberOf(config, "lease"), log: pinned },
    }));
  const log = { origin: next.log, key: next.logKey };
  changeConfig(folder, "broker", (config) => ({ ...config, log }));
  return ["broker", ...gateways, ...signers];
}

function memberOf(config: JsonObject, name: string): JsonObject {
  const value = config[name];
  return isJsonObject(value) ? value : {};
}

async function makeKeys(
  folder: string,
  realm: string | undefined,
  successor: string,
): Promise<{ readonly logKey: string; readonly writer: string }> {
  const { logs } = await initialiseLedger(join(folder, "ledger"), { logs: [successor] });
  const writer =
    realm === undefined
      ? initialiseBroker(join(folder, "broker"), successor)
      : initialiseLog(join(folder, `signer-${realm}`), successor);
  return { logKey: logs[0]?.vkey ?? "", writer };
}

function closeInLedger({
  caller,
  log,
  successor,
  writer,
}: {
  readonly caller: string;
  readonly log: string;
  readonly successor: string;
  readonly writer: string;
}): (config: JsonObject) => JsonObject {
  return (config) => {
    const logs = Array.isArray(config["logs"]) ? config["logs"].filter(isJsonObject) : [];
    const others = logs.filter((one) => one["log"] !== successor);
    const closed = others.map((one) => (one["log"] === log ? { ...one, closed: true } : one));
    const next = { log: successor, writer, caller };
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

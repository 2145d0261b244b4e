import { errorLine, MemberReader, nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import { isDatedAhead, parseVerifierKey, verifyCosignature, type VerifierKey } from "@redoubt/tlog";
import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import { ask, LEDGER, MONITOR, type Requester } from "@redoubt/wire";
import { alarmTable, isOpen, isOpenCritical, readAlarms, type Alarm } from "./alarms.ts";
import { withRootsLabel } from "./ceremony/root-state.ts";
import { EXIT, type CommandContext } from "./command.ts";
import { servicesOf, type ServiceName } from "./layout.ts";
import { Operator } from "./operator.ts";
import { enterRunning, readStatusPage } from "./running.ts";
import { clusterNames } from "./settings.ts";
import { printable, span, table } from "./table.ts";

interface ProcessStatus {
  readonly service: ServiceName;
  readonly ready: boolean;
  readonly pid: number | null;
  readonly restarts: number;
  readonly labels: readonly string[];
  /** Why it is not ready, in its own words. */
  readonly reason: string | null;
  /** Keys that its custody holds and that must not be used. */
  readonly refusedKeys: readonly string[];
}

interface LogStatus {
  readonly log: string;
  readonly size: number;
  /** The newest size that the witness cosigned, and when by its clock. */
  readonly cosigned: { readonly size: number; readonly timeSeconds: number } | null;
}

export interface SystemStatus {
  readonly healthy: boolean;
  readonly processes: readonly ProcessStatus[];
  readonly logs: readonly LogStatus[];
  /** Null where they cannot be read: that is not the same as none. */
  readonly alarms: {
    readonly open: number;
    readonly critical: number;
    readonly newest: readonly Alarm[];
  } | null;
  /** Of the data folder; null where the supervisor does not say. */
  readonly disk: { readonly freeBytes: number; readonly level: string } | null;
  /** What `redoubt up` on one machine is, and what it is not (ARCHITECTURE §9). */
  readonly labels: readonly string[];
  /** Each reason why this is not healthy. */
  readonly problems: readonly string[];
}

export interface StatusParts {
  /** A connection to a service, as the operator. */
  readonly client: (service: ServiceName) => Requester;
  readonly services: readonly ServiceName[];
  readonly witness: VerifierKey;
  /** POSIX seconds. */
  readonly now: number;
}

const SHOWN_ALARMS = 10;
const DISK_PROBLEMS: Readonly<Record<string, string>> = {
  critical: "disk is nearly full",
  none: "disk is full",
  unknown: "free space of the disk cannot be read",
};
const MAX_REFUSED = 1000;
const MAX_SIZE = Number.MAX_SAFE_INTEGER;

/** How the running system is: exit code 2 where something needs attention. */
export async function status({ folder, terminal }: CommandContext): Promise<number> {
  const { settings, ports } = await enterRunning(folder);
  const page = await readStatusPage(ports);
  await using operator = new Operator("", settings);
  const now = nowSeconds(systemClock);
  const found = await readSystemStatus(page, {
    client: (service) => operator.client(service),
    services: servicesOf(clusterNames(settings)),
    witness: parseVerifierKey(settings.witness),
    now,
  });
  const shown = { ...found, labels: await rootLabels(operator, found.labels) };
  const heading = `Redoubt on ${folder}, ports ${settings.port} to ${ports.status}`;
  terminal.result({
    json: { data: folder, port: settings.port, ...shown },
    text: statusText(heading, shown, now),
  });
  return found.healthy ? EXIT.ok : EXIT.attention;
}

/** Labels with what the registry proves about roots. If it cannot be read, they stay; `problems` says so already. */
async function rootLabels(
  operator: Operator,
  labels: readonly string[],
): Promise<readonly string[]> {
  try {
    return withRootsLabel(labels, await operator.readRegistry());
  } catch {
    return labels;
  }
}

/**
 * Joins the supervisor's page with what ledger and monitor say. A part that does not answer becomes one of the
 * `problems`.
 */
export async function readSystemStatus(
  page: JsonObject,
  parts: StatusParts,
): Promise<SystemStatus> {
  const { client } = parts;
  const problems: string[] = [];
  const attempt = async <T>(what: string, read: () => Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await read();
    } catch (error) {
      problems.push(`${what}: ${errorLine(error)}`);
      return otherwise;
    }
  };
  const processes = parseProcesses(page, parts.services);
  for (const { service, ready, reason } of processes)
    if (!ready) problems.push(`${service} is not ready${reason === null ? "" : `: ${reason}`}`);
  for (const { service, refusedKeys } of processes)
    for (const refused of refusedKeys)
      problems.push(`custody of ${service} holds a key that must not be used: ${refused}`);
  const monitor = client("monitor");
  const disk = parseDisk(page);
  const diskProblem = disk && DISK_PROBLEMS[disk.level];
  if (diskProblem) problems.push(diskProblem);
  const told = await attempt("alarms cannot be read", () => readAlarms(monitor), undefined);
  const alarms = told ? alarmsOf(told) : null;
  const critical = alarms?.critical ?? 0;
  if (critical > 0)
    problems.push(`${critical} critical alarm${critical > 1 ? "s are" : " is"} open`);
  const logs = await attempt("logs cannot be read", () => readLogs(parts), []);
  const halted = await attempt("monitor does not answer", () => readHalts(monitor), []);
  return {
    healthy: problems.length === 0 && halted.length === 0,
    processes,
    logs,
    alarms,
    disk,
    labels: [...new Set(processes.flatMap(({ labels }) => labels))],
    problems: [...problems, ...halted],
  };
}

function alarmsOf(alarms: readonly Alarm[]): NonNullable<SystemStatus["alarms"]> {
  const open = alarms.filter(isOpen);
  const newest = open.slice(-SHOWN_ALARMS);
  return { open: open.length, critical: open.filter(isOpenCritical).length, newest };
}

function parseDisk({ disk }: JsonObject): SystemStatus["disk"] {
  if (!isJsonObject(disk)) return null;
  const reader = new MemberReader(disk, "disk");
  return {
    freeBytes: reader.integer("freeBytes", 0, MAX_SIZE),
    level: reader.string("level", 16),
  };
}

function parseProcesses(page: JsonObject, services: readonly ServiceName[]): ProcessStatus[] {
  return services.map((service) => {
    const value = page[service];
    const reader = new MemberReader(isJsonObject(value) ? value : {}, service);
    return {
      service,
      ready: reader.has("ready") && reader.boolean("ready"),
      pid: reader.optionalInteger("pid", 1, MAX_SIZE) ?? null,
      restarts: reader.optionalInteger("restarts", 0, MAX_SIZE) ?? 0,
      labels: readLabels(reader),
      reason: reader.optionalString("reason", 1024) ?? null,
      refusedKeys: readRefused(reader),
    };
  });
}

function readRefused(reader: MemberReader): readonly string[] {
  const refused = reader.has("refusedKeys") ? reader.array("refusedKeys", MAX_REFUSED) : [];
  return refused.map((value) => {
    const key = new MemberReader(isJsonObject(value) ? value : {}, "refused key");
    return `${key.string("id", 512)}: ${key.string("reason", 1024)}`;
  });
}

function readLabels(reader: MemberReader): readonly string[] {
  const labels = reader.has("labels") ? reader.strings("labels", 64) : [];
  const named = ["custody", "isolation"].flatMap((name) => {
    const value = reader.optionalString(name, 64);
    return value === undefined ? [] : [`${name}: ${value}`];
  });
  return [...new Set([...named, ...labels])];
}

async function readLogs(parts: StatusParts): Promise<LogStatus[]> {
  const { logs } = await ask(parts.client("ledger"), LEDGER.logs, {});
  return Promise.all(logs.map(({ log }) => readLog(parts, log)));
}

async function readLog({ client, witness, now }: StatusParts, log: string): Promise<LogStatus> {
  const { size, cosigned: note } = await ask(client("ledger"), LEDGER.state, { log });
  if (note === "") return { log, size, cosigned: null };
  // The ledger's word is not enough: the age of a cosignature is what the witness signed.
  const { timeSeconds, checkpoint } = verifyCosignature(note, witness);
  if (checkpoint.origin !== log)
    throw new ServiceError("ERR_STATUS", `Ledger tells a cosignature of another log for ${log}`);
  // THREAT-37: a cosignature that is dated ahead would look younger than it is.
  if (isDatedAhead(timeSeconds, now))
    throw new ServiceError("ERR_STATUS", `Cosignature of ${log} is dated ahead of this clock`);
  return { log, size, cosigned: { size: checkpoint.size, timeSeconds } };
}

/** Logs that the monitor refuses to cosign ever again. */
async function readHalts(monitor: Requester): Promise<string[]> {
  const { logs = [] } = await ask(monitor, MONITOR.status, {});
  return logs.flatMap(({ log, halted }) =>
    halted === null ? [] : [`log ${log} is halted: ${halted}`],
  );
}

export function statusText(heading: string, found: SystemStatus, now: number): string {
  const { healthy, processes, logs, alarms, disk, labels, problems } = found;
  const processRows = processes.map(({ service, ready, pid, restarts }) => [
    service,
    ready ? "ready" : "NOT READY",
    pid === null ? "-" : String(pid),
    String(restarts),
  ]);
  const logRows = logs.map(({ log, size, cosigned }) => [
    log,
    String(size),
    cosigned ? `${cosigned.size}, ${span(now - cosigned.timeSeconds)} ago` : "never",
  ]);
  const sections = [
    `${printable(heading)}: ${healthy ? "healthy" : "NEEDS ATTENTION"}`,
    table([["PROCESS", "STATE", "PID", "RESTARTS"], ...processRows]),
    table([["LOG", "SIZE", "COSIGNED"], ...logRows]),
    alarmsText(alarms),
    ...(alarms && alarms.newest.length > 0 ? [alarmTable(alarms.newest)] : []),
    ...(disk ? [`Disk: ${Math.floor(disk.freeBytes / 1e6)} MB free${levelText(disk.level)}`] : []),
    `Labels: ${labels.map(printable).join("; ")}`,
    ...(problems.length > 0
      ? [["Problems:", ...problems.map((p) => `  ${printable(p)}`)].join("\n")]
      : []),
  ];
  return sections.join("\n\n");
}

function alarmsText(alarms: SystemStatus["alarms"]): string {
  if (!alarms) return "Alarms cannot be read";
  if (alarms.open === 0) return "No open alarm";
  return `Open alarms: ${alarms.open}, critical: ${alarms.critical}`;
}

function levelText(level: string): string {
  return level === "enough" ? "" : ` (${printable(level)})`;
}

import { errorLine, MemberReader, nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import { isDatedAhead, parseVerifierKey, verifyCosignature, type VerifierKey } from "@redoubt/tlog";
import { isJsonObject, type JsonObject } from "@redoubt/verify/json";
import { ask, LEDGER, MONITOR, type Requester } from "@redoubt/wire";
import { alarmTable, isOpen, isOpenCritical, readAlarms, type Alarm } from "./alarms.ts";
import { withRootsLabel } from "./ceremony/root-state.ts";
import { EXIT, type CommandContext } from "./command.ts";
import { servicesOf, type ServiceName } from "./layout.ts";
import { Operator } from "./operator.ts";
import { readKeys, type KeyView } from "./keys/key-list.ts";
import {
  alarmProblems,
  diskProblems,
  haltProblems,
  keyProblems,
  logProblems,
  processProblems,
  unreadable,
  type DiskStatus,
  type LogStatus,
  type Problem,
  type ProcessStatus,
} from "./problems.ts";
import { enterRunning, readStatusPage } from "./running.ts";
import { extentOf } from "./settings.ts";
import { printable, span, table } from "./table.ts";

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
  readonly disk: DiskStatus | null;
  /** What `redoubt up` on one machine is, and what it is not (ARCHITECTURE §9). */
  readonly labels: readonly string[];
  /** Each reason why this is not healthy. */
  readonly problems: readonly Problem[];
}

/** What the page shows beyond it. */
export interface Found extends SystemStatus {
  /** Null where they cannot be read, as above. */
  readonly keys: readonly KeyView[] | null;
  readonly openAlarms: readonly Alarm[] | null;
}

export interface StatusParts {
  /** The data folder, for commands that name files in it. */
  readonly folder: string;
  /** A connection to a service, as the operator. */
  readonly client: (service: ServiceName) => Requester;
  /** The keys that are not gone for good. */
  readonly readKeys: (alarms: readonly Alarm[]) => Promise<readonly KeyView[]>;
  readonly services: readonly ServiceName[];
  readonly witness: VerifierKey;
  /** POSIX seconds. */
  readonly now: number;
}

const SHOWN_ALARMS = 10;
/** Of 1000 alarms each: more than a person can have left, and no monitor can fill the reader's memory. */
const MAX_ALARM_PAGES = 64;
const MONITOR_SILENT = "monitor does not answer";
const MAX_LOGS = 256;
const MAX_REFUSED = 1000;
const MAX_SIZE = Number.MAX_SAFE_INTEGER;

/** How the running system is: exit code 2 where something needs attention. */
export async function status({ folder, terminal }: CommandContext): Promise<number> {
  const { settings, ports } = await enterRunning(folder);
  const page = await readStatusPage(ports);
  await using operator = new Operator("", settings);
  const now = nowSeconds(systemClock);
  // Keys and whole alarms have commands of their own.
  const {
    keys: _,
    openAlarms: __,
    ...found
  } = await readSystemStatus(page, {
    folder,
    client: (service) => operator.client(service),
    readKeys: (alarms) => readKeys(operator, { alarms, nowSeconds: now }),
    services: servicesOf(extentOf(settings)),
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
export async function readSystemStatus(page: JsonObject, parts: StatusParts): Promise<Found> {
  const { client, folder, now } = parts;
  const monitor = client("monitor");
  const failures: Problem[] = [];
  const attempt = async <T>(what: string, read: () => Promise<T>): Promise<T | null> => {
    try {
      return await read();
    } catch (error) {
      failures.push(unreadable(what, errorLine(error)));
      return null;
    }
  };
  const processes = parseProcesses(page, parts.services);
  const disk = parseDisk(page);
  // Side by side: a process that is frozen costs one time limit, not one for each question.
  const [[told, keys], logs, monitored] = await Promise.all([
    attempt("alarms cannot be read", () => readAlarms(monitor, {}, MAX_ALARM_PAGES)).then(
      async (alarms) =>
        [alarms, await attempt("keys cannot be read", () => parts.readKeys(alarms ?? []))] as const,
    ),
    attempt("logs cannot be read", () => readLogs(parts)),
    attempt(MONITOR_SILENT, () => readMonitored(monitor)),
  ]);
  const sizes = new Map(monitored?.map(({ log, size }) => [log, size]));
  const halts = (monitored ?? []).flatMap(({ log, halted }) =>
    halted === null ? [] : [[log, halted] as const],
  );
  // One that the supervisor finds frozen is named by it already.
  const isMonitorDown = processes.some(({ service, ready }) => service === "monitor" && !ready);
  const problems = [
    ...processProblems(processes, folder),
    ...diskProblems(disk, folder),
    ...alarmProblems(told ?? []),
    ...haltProblems(halts),
    ...logProblems(logs ?? [], now),
    ...keyProblems(keys ?? [], now),
    ...failures.filter(({ what }) => !isMonitorDown || !what.startsWith(MONITOR_SILENT)),
  ];
  return {
    healthy: problems.length === 0,
    processes,
    logs: (logs ?? []).map((log) => ({ ...log, monitored: sizes.get(log.log) ?? null })),
    alarms: told && alarmsOf(told),
    disk,
    labels: [...new Set(processes.flatMap(({ labels }) => labels))],
    problems,
    keys,
    openAlarms: told && told.filter(isOpen),
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
      startedAt: reader.optionalInteger("startedAt", 0, MAX_SIZE) ?? null,
      ...readOwnWords(reader),
    };
  });
}

/** Of these a process says what it likes; the rest the supervisor sees itself. */
function readOwnWords(
  reader: MemberReader,
): Pick<ProcessStatus, "labels" | "reason" | "refusedKeys" | "unreadable"> {
  try {
    return {
      unreadable: reader.has("unreadable"),
      labels: readLabels(reader),
      reason: reader.optionalString("reason", 1024) ?? null,
      refusedKeys: readRefused(reader),
    };
  } catch {
    return { unreadable: true, labels: [], reason: null, refusedKeys: [] };
  }
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
  return Promise.all(logs.slice(-MAX_LOGS).map(({ log }) => readLog(parts, log)));
}

async function readLog({ client, witness, now }: StatusParts, log: string): Promise<LogStatus> {
  const { size, cosigned: note } = await ask(client("ledger"), LEDGER.state, { log });
  if (note === "") return { log, size, cosigned: null, monitored: null };
  // The ledger's word is not enough: the age of a cosignature is what the witness signed.
  const { timeSeconds, checkpoint } = verifyCosignature(note, witness);
  if (checkpoint.origin !== log)
    throw new ServiceError("ERR_STATUS", `Ledger tells a cosignature of another log for ${log}`);
  // THREAT-37: a cosignature that is dated ahead would look younger than it is.
  if (isDatedAhead(timeSeconds, now))
    throw new ServiceError("ERR_STATUS", `Cosignature of ${log} is dated ahead of this clock`);
  return { log, size, cosigned: { size: checkpoint.size, timeSeconds }, monitored: null };
}

/** How far the monitor has read each log, and which it refuses to cosign ever again. */
async function readMonitored(monitor: Requester) {
  const { logs = [] } = await ask(monitor, MONITOR.status, {});
  return logs;
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
    ...(problems.length > 0 ? [["Problems:", ...problems.flatMap(problemLines)].join("\n")] : []),
  ];
  return sections.join("\n\n");
}

function problemLines({ what, todo, command }: Problem): string[] {
  const end = command === null ? "" : `: ${command}`;
  return [`  ${printable(what)}`, `    ${printable(todo + end)}`];
}

function alarmsText(alarms: SystemStatus["alarms"]): string {
  if (!alarms) return "Alarms cannot be read";
  if (alarms.open === 0) return "No open alarm";
  return `Open alarms: ${alarms.open}, critical: ${alarms.critical}`;
}

function levelText(level: string): string {
  return level === "enough" ? "" : ` (${printable(level)})`;
}

import { errorCode, nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import { parseVerifierKey } from "@redoubt/tlog";
import { JsonError, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { alarmTable } from "../alarms.ts";
import { withRootsLabel } from "../ceremony/root-state.ts";
import { EXIT, type CommandContext } from "../command.ts";
import { fetchBytes } from "../loopback.ts";
import { Operator } from "../operator.ts";
import { enterRunning } from "../running.ts";
import { printable, span, table } from "../table.ts";
import { readSystemStatus, type SystemStatus } from "./system-status.ts";

const MAX_PAGE_BYTES = 1024 * 1024;

export async function status({ folder, terminal }: CommandContext): Promise<number> {
  const { settings, ports } = await enterRunning(folder);
  const page = await readPage(ports.status);
  await using operator = new Operator("", settings);
  const found = await readSystemStatus(page, {
    client: (service) => operator.client(service),
    witness: parseVerifierKey(settings.witness),
    now: nowSeconds(systemClock),
  });
  const labels = await rootLabels(operator, found.labels);
  const heading = `Redoubt on ${folder}, ports ${settings.port} to ${ports.status}`;
  terminal.result({
    json: { data: folder, port: settings.port, ...found, labels },
    text: statusText(heading, { ...found, labels }, nowSeconds(systemClock)),
  });
  return found.healthy ? EXIT.ok : EXIT.attention;
}

/** Where the registry cannot be read, the logs' problem says so, and what the services say about roots stands. */
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

async function readPage(port: number): Promise<JsonObject> {
  const url = `http://127.0.0.1:${port}/status.json`;
  const { status: code, body } = await fetchBytes(url, MAX_PAGE_BYTES);
  try {
    if (code === 200) return parseJsonObject(body, { maxDepth: 16 });
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw new ServiceError("ERR_STATUS", `Port ${port} serves no status (${errorCode(cause)})`, {
      cause,
    });
  }
  throw new ServiceError("ERR_STATUS", `Port ${port} serves no status of Redoubt (status ${code})`);
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

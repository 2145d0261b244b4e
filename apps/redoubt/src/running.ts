import { connect } from "node:net";
import { errorCode, ServiceError } from "@redoubt/base";
import { JsonError, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { portsFrom, type Ports } from "./layout.ts";
import { fetchBytes } from "./loopback.ts";
import type { Settings } from "./settings.ts";
import { checkDataFolder, isMissingOrEmpty } from "./up/data-folder.ts";

const PROBE_TIMEOUT_MS = 2000;

export interface Place {
  readonly settings: Settings;
  readonly ports: Ports;
}

/**
 * Reads the settings of a data folder, whether or not anything runs on it.
 *
 * @throws ServiceError `ERR_NOT_RUNNING` where there is no data folder; THREAT-32: what `checkDataFolder` throws
 */
export function openPlace(folder: string): Place {
  if (isMissingOrEmpty(folder)) throw notRunning(folder);
  // Before the first secret is read.
  const settings = checkDataFolder(folder);
  return { settings, ports: portsFrom(settings.port) };
}

/**
 * Goes into the data folder of a running system: socket paths are relative to it, whatever the length of its name.
 *
 * @throws ServiceError `ERR_NOT_RUNNING`
 */
export async function enterRunning(folder: string): Promise<Place> {
  const place = openPlace(folder);
  if (!(await isListening(place.ports.status))) throw notRunning(folder);
  process.chdir(folder);
  return place;
}

export function notRunning(folder: string): ServiceError {
  return new ServiceError(
    "ERR_NOT_RUNNING",
    `Redoubt is not running on ${folder}: start it with npm start`,
  );
}

/** Whether anybody listens on a loopback port. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", timeout: PROBE_TIMEOUT_MS });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => end(true));
    socket.once("timeout", () => end(false));
    socket.once("error", () => end(false));
  });
}

const MAX_PAGE_BYTES = 1024 * 1024;

/** What the supervisor's status page says, by service. */
export async function readStatusPage({ status: port }: Pick<Ports, "status">): Promise<JsonObject> {
  const url = `http://127.0.0.1:${port}/status.json`;
  const { status, body } = await fetchBytes(url, MAX_PAGE_BYTES);
  try {
    if (status === 200) return parseJsonObject(body, { maxBytes: MAX_PAGE_BYTES, maxDepth: 16 });
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    const reason = errorCode(cause);
    throw new ServiceError("ERR_STATUS", `Port ${port} serves no status (${reason})`, { cause });
  }
  throw new ServiceError(
    "ERR_STATUS",
    `Port ${port} serves no status of Redoubt (status ${status})`,
  );
}

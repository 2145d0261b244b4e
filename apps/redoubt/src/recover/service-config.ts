import { join } from "node:path";
import { canonicalBytes, readPrivateFile, writeDurable } from "@redoubt/base";
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseJsonObject,
} from "@redoubt/verify/json";
import { callersOf, type Extent, type ServiceName } from "../layout.ts";

/** The configuration of a service, which it reads at its next start. */
export function readConfig(folder: string, service: ServiceName): JsonObject {
  return parseJsonObject(readPrivateFile(configPath(folder, service)));
}

export function changeConfig(
  folder: string,
  service: ServiceName,
  change: (config: JsonObject) => JsonObject,
): void {
  const changed = canonicalBytes(change(readConfig(folder, service)));
  writeDurable(configPath(folder, service), changed);
}

/** Lets callers connect to ledger and monitor that were not known there. */
export function addCallers(folder: string, extent: Extent): void {
  for (const service of ["ledger", "monitor"] as const)
    changeConfig(folder, service, (config) => ({
      ...config,
      callers: [...new Set([...listOf(config["callers"]), ...callersOf(service, extent)])],
    }));
}

/** Gives the ledger one log more, unless it has it. */
export function addLog(
  folder: string,
  added: { readonly log: string; readonly writer: string; readonly caller: string },
): void {
  changeConfig(folder, "ledger", (config) => {
    const logs = listOf(config["logs"]).filter(isJsonObject);
    const isThere = logs.some((one) => one["log"] === added.log);
    return { ...config, logs: isThere ? logs : [...logs, { ...added }] };
  });
}

export function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

function configPath(folder: string, service: ServiceName): string {
  return join(folder, service, "config.json");
}

import { join } from "node:path";
import { canonicalBytes, readPrivateFile, writeDurable } from "@redoubt/base";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import type { ServiceName } from "../layout.ts";

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

function configPath(folder: string, service: ServiceName): string {
  return join(folder, service, "config.json");
}

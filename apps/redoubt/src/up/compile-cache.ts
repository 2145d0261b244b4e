import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "@redoubt/base";
import { repository } from "./launch.ts";
import { REALMS, type ServiceName, servicesOf } from "../layout.ts";

/**
 * Compiled code of the services, made once when the tool chain is installed. It lies in node_modules and is trusted
 * like
 * it. A fresh data folder starts with a copy, so that no two processes ever share a cache they can write to.
 */
const TEMPLATE = join(repository, "node_modules", ".cache", "redoubt", "services");

/** Keeps what the processes of `dataFolder` compiled. */
export function keepCompileCache(dataFolder: string): void {
  rmSync(TEMPLATE, { recursive: true, force: true });
  for (const service of servicesOf({ clusters: [], leased: REALMS, presence: true }))
    copy(join(dataFolder, service, "cache"), join(TEMPLATE, service));
}

/**
 * For services whose folders are there. Without one, or with one of another version, the processes compile for
 * themselves: slower, nothing else.
 */
export function copyCompileCache(dataFolder: string, services: readonly ServiceName[]): void {
  for (const service of services) copy(join(TEMPLATE, service), join(dataFolder, service, "cache"));
}

function copy(from: string, to: string): void {
  try {
    cpSync(from, to, { recursive: true });
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
}

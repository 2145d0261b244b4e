import { isAbsolute, resolve } from "node:path";
import { ServiceError } from "@redoubt/base";

export const DEFAULT_PORT = 7400;
const MAX_PORT = 65_530;

export interface Environment {
  readonly REDOUBT_DATA?: string | undefined;
  readonly REDOUBT_PORT?: string | undefined;
  /** Where npm was called; its scripts run in the package's folder. */
  readonly INIT_CWD?: string | undefined;
}

/** The folder in which the command was typed. */
export function typedIn(env: Environment, cwd: string): string {
  return said(env.INIT_CWD) ?? cwd;
}

/** The data folder: `--data`, `REDOUBT_DATA`, or `.redoubt` where the command was typed. */
export function dataFolder(flag: string | undefined, env: Environment, cwd: string): string {
  if (flag === "") throw new ServiceError("ERR_DATA_FOLDER", "--data needs the name of a folder");
  const chosen = flag ?? said(env.REDOUBT_DATA) ?? ".redoubt";
  return isAbsolute(chosen) ? resolve(chosen) : resolve(typedIn(env, cwd), chosen);
}

/** The first of the six ports; undefined where nobody chose one. */
export function basePort(flag: string | undefined, env: Environment): number | undefined {
  const text = flag ?? said(env.REDOUBT_PORT);
  if (text === undefined) return undefined;
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1024 || port > MAX_PORT)
    throw new ServiceError(
      "ERR_PORT",
      `Port ${JSON.stringify(text)}: expected a number from 1024 to ${MAX_PORT}`,
    );
  return port;
}

// An empty variable counts as not set: taken as a path, it would mean the working folder.
function said(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { checkPrivateFolder, errorCode, ServiceError } from "@redoubt/base";
import { callersOf, servicesOf } from "../layout.ts";
import { extentOf, readSettings, SETTINGS_FILE, type Settings } from "../settings.ts";

/**
 * THREAT-32: checks that every folder that must be there is there, belongs to us, and is closed to others. Returns the
 * settings, which say what must be there.
 *
 * @throws ServiceError `ERR_DATA_INCOMPLETE`; as `checkPrivateFolder`
 */
export function checkDataFolder(folder: string): Settings {
  checkFolder(folder);
  if (!existsSync(join(folder, SETTINGS_FILE)))
    throw new ServiceError(
      "ERR_DATA_INCOMPLETE",
      `Data folder ${folder} is not complete: move it away and start again, or name another with --data`,
    );
  checkFolder(join(folder, "up"));
  const settings = readSettings(folder);
  const extent = extentOf(settings);
  for (const service of servicesOf(extent)) {
    checkFolder(join(folder, service));
    for (const caller of callersOf(service, extent)) {
      checkFolder(join(folder, service, "s"));
      checkFolder(join(folder, service, "s", caller));
    }
  }
  return settings;
}

function checkFolder(path: string): void {
  try {
    checkPrivateFolder(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT")
      throw new ServiceError(
        "ERR_DATA_INCOMPLETE",
        `Data folder is not complete: ${path} is missing`,
        {
          cause: error,
        },
      );
    throw error;
  }
}

export function isMissingOrEmpty(folder: string): boolean {
  try {
    if (!lstatSync(folder).isDirectory())
      throw new ServiceError(
        "ERR_DATA_FOLDER",
        `${folder} is not a folder: name another with --data`,
      );
    return readdirSync(folder).length === 0;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return true;
    if (error instanceof ServiceError) throw error;
    throw notUsable(folder, error);
  }
}

/** Builds a folder beside the target and renames it, so that a crash never leaves half a folder there. */
export async function createDataFolder(
  folder: string,
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = makeBeside(folder);
  try {
    await fill(temporary);
    // Replaces an empty folder only: what somebody else put there meanwhile, such as a second start, stays.
    renameSync(temporary, folder);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    // Ours says already what is wrong, and it is not the folder.
    throw error instanceof ServiceError ? error : notUsable(folder, error);
  }
}

/** Makes a folder of mode 0700 under a name that is new, whatever an earlier start has left. */
function makeBeside(folder: string): string {
  try {
    mkdirSync(dirname(folder), { recursive: true });
    return mkdtempSync(`${folder}.new-`);
  } catch (error) {
    throw notUsable(folder, error);
  }
}

function notUsable(folder: string, cause: unknown): ServiceError {
  const reason = errorCode(cause);
  return new ServiceError(
    "ERR_DATA_FOLDER",
    `Data folder ${folder} cannot be used (${reason}): name another with --data`,
    { cause },
  );
}

/**
 * Locks a data folder with SQLite's lock on a database: it ends with the process, however that ends.
 *
 * @throws ServiceError `ERR_ALREADY_RUNNING`, `ERR_DATA_FOLDER`
 */
export function lockDataFolder(folder: string): Disposable {
  const database = openLock(folder);
  try {
    // Nothing is written, so that the lock can be taken on a full disk, too.
    database.exec("pragma journal_mode = memory; pragma locking_mode = exclusive");
    database.exec("begin exclusive");
  } catch (cause) {
    database.close();
    if (cause instanceof Error && /locked|busy/i.test(cause.message))
      throw new ServiceError(
        "ERR_ALREADY_RUNNING",
        `Redoubt is already running on ${folder}: stop it first, or name another folder with --data`,
        { cause },
      );
    throw notUsable(folder, cause);
  }
  return { [Symbol.dispose]: () => database.close() };
}

function openLock(folder: string): DatabaseSync {
  try {
    return new DatabaseSync(join(folder, "up", "lock.db"));
  } catch (cause) {
    throw notUsable(folder, cause);
  }
}

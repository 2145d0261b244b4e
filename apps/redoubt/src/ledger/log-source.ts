import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { errorCode, MemberReader, ServiceError } from "@redoubt/base";
import { isJsonObject, parseJsonObject } from "@redoubt/verify/json";
import { fetchBytes } from "../loopback.ts";
import { finding } from "./finding.ts";

/** The published files of one log, from a place that is not trusted. */
export interface LogSource {
  /** Where it is, for messages. */
  readonly name: string;
  /** Undefined where there is no such file. */
  read(path: string): Promise<Buffer | undefined>;
}

export interface NamedSource {
  /** Origin by the publisher's list of logs; undefined where there is no list. */
  readonly origin: string | undefined;
  readonly source: LogSource;
}

// C2SP tlog-tiles allows bundles of 16 MiB; entries of Redoubt have 65 bytes.
const MAX_FILE_BYTES = 1024 * 1024;
const MAX_LOGS = 1000;
const LOG_ID = /^[0-9a-f]{16}$/;

export function httpSource(base: string): LogSource {
  return {
    name: base,
    read: async (path) => {
      const { status, body } = await fetchBytes(`${base}/${path}`, MAX_FILE_BYTES);
      if (status === 200) return body;
      if (status === 404) return undefined;
      throw new ServiceError("ERR_FETCH", `${base}/${path} answered ${status}`);
    },
  };
}

export function folderSource(folder: string): LogSource {
  return {
    name: folder,
    read: async (path) => {
      const file = join(folder, path);
      try {
        if (statSync(file).size > MAX_FILE_BYTES)
          throw finding("ERR_LOG_FILE", `${file} is too large`);
        return readFileSync(file);
      } catch (error) {
        if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return undefined;
        throw error;
      }
    },
  };
}

/** The logs below a publisher's `/tlog`, by its own list. */
export async function httpLogs(publisher: string): Promise<NamedSource[]> {
  const base = `${publisher.replace(/\/$/, "")}/tlog`;
  const list = await httpSource(base).read("logs.json");
  if (!list) throw new ServiceError("ERR_FETCH", `${base} publishes no logs`);
  return parseList(list).map(({ origin, id }) => ({ origin, source: httpSource(`${base}/${id}`) }));
}

/** A published folder: one log (it has a checkpoint), or a folder of logs. */
export function folderLogs(folder: string): NamedSource[] {
  const names = listFolder(folder);
  if (names.includes("checkpoint")) return [{ origin: undefined, source: folderSource(folder) }];
  const found = names
    .filter((name) => listFolder(join(folder, name)).includes("checkpoint"))
    .map((name) => ({ origin: undefined, source: folderSource(join(folder, name)) }));
  if (found.length === 0)
    throw new ServiceError(
      "ERR_LOGS",
      `No published log in ${folder}: name a folder with a checkpoint`,
    );
  return found;
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch (cause) {
    if (errorCode(cause) === "ENOTDIR") return [];
    throw new ServiceError("ERR_LOGS", `${folder} cannot be read (${errorCode(cause)})`, { cause });
  }
}

function parseList(bytes: Buffer): { readonly origin: string; readonly id: string }[] {
  const reader = new MemberReader(parseJsonObject(bytes), "logs.json");
  return reader.array("logs", MAX_LOGS).map((value) => {
    const log = new MemberReader(isJsonObject(value) ? value : {}, "log in logs.json");
    // The publisher chose it and it becomes part of an address.
    return { origin: log.string("origin", 256), id: log.string("id", 16, LOG_ID) };
  });
}

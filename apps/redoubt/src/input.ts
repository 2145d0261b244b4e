import { readFileSync, statSync } from "node:fs";
import { errorCode, ServiceError } from "@redoubt/base";

/**
 * A file that somebody named on the command line, bounded.
 *
 * @throws ServiceError `ERR_OPTION`
 */
export function readInput(path: string, maxBytes: number): Buffer {
  try {
    if (statSync(path).size <= maxBytes) return readFileSync(path);
  } catch (cause) {
    throw new ServiceError("ERR_OPTION", `${path} cannot be read (${errorCode(cause)})`, { cause });
  }
  throw new ServiceError("ERR_OPTION", `${path} is larger than ${maxBytes} bytes`);
}

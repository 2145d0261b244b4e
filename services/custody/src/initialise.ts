import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { KEYS_FOLDER } from "./keys-folder.ts";

/** Makes a gateway's folder of sealed keys, in its own folder; done again it changes nothing. Returns its path. */
export function initialise(folder: string): string {
  const keys = join(folder, KEYS_FOLDER);
  mkdirSync(keys, { recursive: true, mode: 0o700 });
  return keys;
}

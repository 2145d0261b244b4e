import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { privateFileExists } from "@redoubt/base";
import { createKeyFile, openKeyFile } from "@redoubt/custody";
import { encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";

/** Names of a broker's own files, below its folder. */
export const BROKER_FILES = {
  state: "state.json",
  references: "references",
  policies: "policies",
} as const;

/** Files of one log: a log that takes another's place has a key and a memory of its own, named by its number. */
export function logFiles(origin: string): { readonly writer: string; readonly pending: string } {
  const [number = ""] = /-\d+$/.exec(origin) ?? [];
  return { writer: `writer${number}.key`, pending: `pending${number}.json` };
}

/**
 * Makes the key with which a broker signs its log, and its folders. Running it again after a crash keeps the key.
 *
 * @returns verifier key of the writer
 */
export function initialise(folder: string, origin: string): string {
  for (const name of [BROKER_FILES.references, BROKER_FILES.policies])
    mkdirSync(join(folder, name), { recursive: true, mode: 0o700 });
  const path = join(folder, logFiles(origin).writer);
  const { publicKey } = privateFileExists(path)
    ? openKeyFile(path)
    : createKeyFile(path, "Ed25519");
  return encodeVerifierKey({ name: `${origin}/writer`, type: SIGNATURE_TYPE.ed25519, publicKey });
}

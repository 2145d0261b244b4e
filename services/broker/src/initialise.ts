import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { privateFileExists } from "@redoubt/base";
import { createKeyFile, openKeyFile } from "@redoubt/custody";
import { encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";

/** Names of a broker's own files, below its folder. */
export const BROKER_FILES = {
  writer: "writer.key",
  state: "state.json",
  pending: "pending.json",
  references: "references",
  policies: "policies",
} as const;

/**
 * Makes the key with which a broker signs its log, and its folders. Running it again after a crash keeps the key.
 *
 * @returns verifier key of the writer
 */
export function initialise(folder: string, origin: string): string {
  for (const name of [BROKER_FILES.references, BROKER_FILES.policies])
    mkdirSync(join(folder, name), { recursive: true, mode: 0o700 });
  const path = join(folder, BROKER_FILES.writer);
  const { publicKey } = privateFileExists(path)
    ? openKeyFile(path)
    : createKeyFile(path, "Ed25519");
  return encodeVerifierKey({ name: `${origin}/writer`, type: SIGNATURE_TYPE.ed25519, publicKey });
}

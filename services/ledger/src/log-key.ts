import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { privateFileExists } from "@redoubt/base";
import { createKeyFile, nextKeyFile, openKeyFile } from "@redoubt/custody";
import {
  createVerifierKey,
  ed25519Signer,
  logId,
  parseVerifierKey,
  SIGNATURE_TYPE,
  type NoteSigner,
  type VerifierKey,
} from "@redoubt/tlog";
import { refusal } from "./errors.ts";

/** The key that signs every checkpoint of one log; its name is the log's origin. */
export interface LogKey {
  readonly verifier: VerifierKey;
  readonly signer: NoteSigner;
  /** The private half is gone: `verifier` still verifies, `signer` throws. */
  readonly isGone?: true;
}

/** Opens the key of a log, and makes it first where there is none. An existing key is never replaced. */
export function ensureLogKey(folder: string, origin: string): LogKey {
  const keys = join(folder, "keys");
  mkdirSync(keys, { recursive: true, mode: 0o700 });
  const path = join(keys, logId(origin));
  return existsSync(path)
    ? openLogKey(folder, origin)
    : logKey(origin, createKeyFile(path, "Ed25519"));
}

export function hasLogKey(folder: string, origin: string, number = 1): boolean {
  return privateFileExists(keyFile(folder, origin, number));
}

/** `number`: 1 is the first key of the log; only the registry's is ever another. */
export function openLogKey(folder: string, origin: string, number = 1): LogKey {
  return logKey(origin, openKeyFile(keyFile(folder, origin, number)));
}

/** The key that is to take the place of the registry's. @throws KeyError as `nextKeyFile` */
export function nextLogKey(
  folder: string,
  origin: string,
  { number, isPrepared }: { readonly number: number; readonly isPrepared: boolean },
): LogKey {
  return logKey(origin, nextKeyFile(keyFile(folder, origin, number), isPrepared));
}

function keyFile(folder: string, origin: string, number: number): string {
  return join(folder, "keys", number === 1 ? logId(origin) : `${logId(origin)}-${number}`);
}

/** The key of a log whose private half is gone; signing throws `ERR_LEDGER_CLOSED`. */
export function verifyingLogKey(vkey: string): LogKey {
  const verifier = parseVerifierKey(vkey);
  const sign = (): never => {
    throw refusal("ERR_LEDGER_CLOSED", `The key of ${verifier.name} is gone`);
  };
  return { verifier, signer: { ...verifier, sign }, isGone: true };
}

function logKey(origin: string, pair: ReturnType<typeof openKeyFile>): LogKey {
  return {
    verifier: createVerifierKey({
      name: origin,
      type: SIGNATURE_TYPE.ed25519,
      publicKey: pair.publicKey,
    }),
    signer: ed25519Signer(origin, pair.privateKey),
  };
}

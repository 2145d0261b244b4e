import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { KeyObject } from "node:crypto";
import { checkPrivateFolder, privateFileExists } from "@redoubt/base";
import { nextKeyFile, openKeyFile } from "@redoubt/custody";
import {
  createVerifierKey,
  ed25519Cosigner,
  encodeVerifierKey,
  SIGNATURE_TYPE,
  type NoteSigner,
  type VerifierKey,
} from "@redoubt/tlog";
import { monitorError } from "./errors.ts";

export interface MonitorKeys {
  /** Verifier key of the cosignatures (type 0x04). */
  readonly witness: string;
  /** Verifier key of the acknowledgements of reports. */
  readonly ack: string;
  /** Verifier key of the webhook signatures `v1a`. */
  readonly eventKey: string;
}

export interface Identity {
  readonly cosigner: NoteSigner;
  readonly witness: VerifierKey;
  readonly ackKey: KeyObject;
  readonly eventKey: KeyObject;
}

const WITNESS_NAME = "redoubt/witness";
const ACK_NAME = "redoubt/ack";
const EVENT_NAME = "redoubt/events";
const NAMES = { witness: WITNESS_NAME, ack: ACK_NAME, events: EVENT_NAME } as const;

/** Makes the identity keys in a fresh folder. C2SP tlog-cosignature: a cosigner's key signs nothing else. */
export async function initialise(folder: string): Promise<MonitorKeys> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  checkPrivateFolder(folder);
  // A second identity over the first would leave every verifier with a witness that no longer exists.
  if (privateFileExists(join(folder, "witness.key")))
    throw monitorError("ERR_CONFIG", "Monitor keys exist already");
  const first = { number: 1, isPrepared: false };
  return {
    witness: initialiseKey(folder, "witness", first),
    ack: initialiseKey(folder, "ack", first),
    eventKey: initialiseKey(folder, "events", first),
  };
}

/** Which key of each kind is in use, counted from 1. A key that takes the place of another has the next number. */
export interface KeyNumbers {
  readonly witness: number;
  readonly ack: number;
  readonly events: number;
}

export const FIRST_KEYS: KeyNumbers = { witness: 1, ack: 1, events: 1 };

/** The file of the first key has a plain name; those that took its place are numbered. */
function keyFile(folder: string, kind: keyof KeyNumbers, number: number): string {
  return join(folder, number === 1 ? `${kind}.key` : `${kind}-${number}.key`);
}

/**
 * Makes the `number`th key of a kind, or uses the one that an earlier attempt has prepared. Returns its verifier key.
 */
export function initialiseKey(
  folder: string,
  kind: keyof KeyNumbers,
  { number, isPrepared }: { readonly number: number; readonly isPrepared: boolean },
): string {
  const { publicKey } = nextKeyFile(keyFile(folder, kind, number), isPrepared);
  const { cosignature, ed25519 } = SIGNATURE_TYPE;
  const type = kind === "witness" ? cosignature : ed25519;
  return encodeVerifierKey({ name: NAMES[kind], type, publicKey });
}

/** @throws KeyError, ServiceError where a file is missing or damaged, with its name */
export function openIdentity(folder: string, numbers: KeyNumbers = FIRST_KEYS): Identity {
  checkPrivateFolder(folder);
  const open = (kind: keyof KeyNumbers) => openKeyFile(keyFile(folder, kind, numbers[kind]));
  const { privateKey, publicKey } = open("witness");
  return {
    cosigner: ed25519Cosigner(WITNESS_NAME, privateKey),
    witness: createVerifierKey({ name: WITNESS_NAME, type: SIGNATURE_TYPE.cosignature, publicKey }),
    ackKey: open("ack").privateKey,
    eventKey: open("events").privateKey,
  };
}

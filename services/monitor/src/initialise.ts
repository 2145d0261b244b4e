import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { KeyObject } from "node:crypto";
import { checkPrivateFolder, privateFileExists } from "@redoubt/base";
import { createKeyFile, openKeyFile } from "@redoubt/keys";
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

/** Makes the identity keys in a fresh folder. C2SP tlog-cosignature: a cosigner's key signs nothing else. */
export async function initialise(folder: string): Promise<MonitorKeys> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  checkPrivateFolder(folder);
  // A second identity over the first would leave every verifier with a witness that no longer exists.
  if (privateFileExists(join(folder, "witness.key")))
    throw monitorError("ERR_CONFIG", "Monitor keys exist already");
  const { cosignature, ed25519 } = SIGNATURE_TYPE;
  const make = (name: string, file: string, type: VerifierKey["type"]): string =>
    encodeVerifierKey({
      name,
      type,
      publicKey: createKeyFile(join(folder, file), "Ed25519").publicKey,
    });
  return {
    witness: make(WITNESS_NAME, "witness.key", cosignature),
    ack: make(ACK_NAME, "ack.key", ed25519),
    eventKey: make(EVENT_NAME, "events.key", ed25519),
  };
}

export function openIdentity(folder: string): Identity {
  checkPrivateFolder(folder);
  const { privateKey, publicKey } = openKeyFile(join(folder, "witness.key"));
  return {
    cosigner: ed25519Cosigner(WITNESS_NAME, privateKey),
    witness: createVerifierKey({ name: WITNESS_NAME, type: SIGNATURE_TYPE.cosignature, publicKey }),
    ackKey: openKeyFile(join(folder, "ack.key")).privateKey,
    eventKey: openKeyFile(join(folder, "events.key")).privateKey,
  };
}

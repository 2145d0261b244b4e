import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";
import { join } from "node:path";
import { privateFileExists, readPrivateFile, ServiceError, writeDurable } from "@redoubt/base";
import { encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";

/** With which an issuer says when it acted on an approval. Whoever steals it can date approvals, and make none. */
export interface ActingKey {
  /** `issuer-<realm>`. */
  readonly keyId: string;
  readonly privateKey: KeyObject;
  /** Verifier key, as `redoubt presence verify --service` takes it. */
  readonly vkey: string;
}

export const ACTING_KEY_FILE = "acting.key";

/**
 * The key in this process's own folder; made where there is none. Each replica of an issuer has its own.
 *
 * @throws ServiceError `ERR_ACTING_KEY`; as `readPrivateFile`
 */
export function openActingKey(folder: string, realm: string): ActingKey {
  const path = join(folder, ACTING_KEY_FILE);
  if (!privateFileExists(path)) {
    const { privateKey } = generateKeyPairSync("ed25519");
    writeDurable(path, privateKey.export({ format: "pem", type: "pkcs8" }));
  }
  const privateKey = readKey(path);
  const name = `issuer-${realm}`;
  const publicKey = createPublicKey(privateKey);
  const vkey = encodeVerifierKey({ name, type: SIGNATURE_TYPE.ed25519, publicKey });
  return { keyId: name, privateKey, vkey };
}

function readKey(path: string): KeyObject {
  const pem = readPrivateFile(path, 4096);
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch (cause) {
    throw noKey(path, cause);
  }
  throw noKey(path);
}

function noKey(path: string, cause?: unknown): ServiceError {
  return new ServiceError("ERR_ACTING_KEY", `${path} holds no Ed25519 key`, { cause });
}

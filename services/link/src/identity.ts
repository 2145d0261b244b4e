import {
  createPrivateKey,
  generateKeyPairSync,
  X509Certificate,
  type KeyObject,
} from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  checkPrivateFolder,
  privateFileExists,
  readPrivateFile,
  writeDurable,
} from "@redoubt/base";
import { makeCertificate, pinOf } from "./certificate.ts";
import { linkError } from "./errors.ts";

/** What a link proves itself with; the key never leaves this process. */
export interface Identity {
  readonly key: Buffer;
  readonly certificate: Buffer;
  readonly pin: string;
}

export type LinkAlgorithm = "ES256" | "Ed25519";

const MAX_PEM_BYTES = 8192;

/**
 * Makes a key and its certificate, `<name>.key` and `<name>.pem` of mode 0600, where they are not there yet, and gives
 * the pin. A key that exists is kept: its pin is known to the peers.
 *
 * @throws ServiceError `ERR_LINK_KEY`, `ERR_FILE_*`
 */
export function initialiseLink(
  folder: string,
  { name, algorithm }: { readonly name: string; readonly algorithm: LinkAlgorithm },
): { readonly pin: string; readonly isNew: boolean } {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  checkPrivateFolder(folder);
  const files = filesOf(folder, name);
  const isNew = !privateFileExists(files.key);
  if (isNew)
    writeDurable(files.key, makeKey(algorithm).export({ type: "pkcs8", format: "pem" }).toString());
  // Also after a crash between the two.
  if (!privateFileExists(files.certificate))
    writeDurable(files.certificate, makeCertificate(readKey(files.key).privateKey));
  return { pin: openIdentity(folder, name).pin, isNew };
}

/** @throws ServiceError `ERR_LINK_KEY`, `ERR_FILE_*`; the error of Node where a file is missing */
export function openIdentity(folder: string, name: string): Identity {
  const files = filesOf(folder, name);
  const { key, privateKey } = readKey(files.key);
  const certificate = readPrivateFile(files.certificate, MAX_PEM_BYTES);
  const parsed = parseCertificate(certificate, files.certificate);
  if (!parsed.checkPrivateKey(privateKey))
    throw linkError("ERR_LINK_KEY", `${files.certificate} is not of the key beside it`);
  return { key, certificate, pin: pinOf(parsed) };
}

function filesOf(
  folder: string,
  name: string,
): { readonly key: string; readonly certificate: string } {
  return { key: join(folder, `${name}.key`), certificate: join(folder, `${name}.pem`) };
}

function makeKey(algorithm: LinkAlgorithm): KeyObject {
  const { privateKey } =
    algorithm === "Ed25519"
      ? generateKeyPairSync("ed25519")
      : generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey;
}

function readKey(path: string): { readonly key: Buffer; readonly privateKey: KeyObject } {
  const key = readPrivateFile(path, MAX_PEM_BYTES);
  try {
    return { key, privateKey: createPrivateKey(key) };
  } catch (cause) {
    throw linkError("ERR_LINK_KEY", `${path} holds no private key`, { cause });
  }
}

function parseCertificate(pem: Buffer, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw linkError("ERR_LINK_KEY", `${path} holds no certificate`, { cause });
  }
}

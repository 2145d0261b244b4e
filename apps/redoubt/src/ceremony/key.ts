import type { KeyObject } from "node:crypto";
import { privateFileExists, type Secret } from "@redoubt/base";
import { openPrivateKey, sealPrivateKey } from "@redoubt/custody";
import { generateKeyPair, KeyError } from "@redoubt/keys";
import { encodeRootKey, parseRootKey, ROOT_KEY_NAME } from "@redoubt/registry";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { printable } from "../table.ts";
import { refuseExisting, writePublicFile } from "./files.ts";
import { newPassphrase } from "./passphrase.ts";
import { PRESENCE, PRESENCE_TEXT } from "./root-text.ts";

export interface KeyOptions {
  readonly name: string;
  readonly out: string;
  readonly passphraseFile?: string;
}

/** Runs on the machine of whoever will hold the key; needs no running system. */
export async function ceremonyKey(context: CommandContext, options: KeyOptions): Promise<number> {
  const out = fileArgument(context, options.out);
  const publicFile = `${out}.pub`;
  // Before anybody types a passphrase for nothing.
  for (const path of [out, publicFile]) refuseExisting(path);
  const passphrase = await newPassphrase(context, options.passphraseFile);
  const made = createRootKeyFile(out, options.name, passphrase);
  writePublicFile(publicFile, made);
  const { name, publicKey } = parseRootKey(made);
  context.terminal.result({
    json: { name, publicKey, sealed: out, public: publicFile, ...PRESENCE },
    text: [
      `Root key ${name}: ${publicKey}`,
      `sealed by the passphrase in  ${printable(out)}`,
      `public part in               ${printable(publicFile)}`,
      PRESENCE_TEXT,
      "Give away the public part alone. Read the key above out to the others, so that nobody swaps it.",
    ].join("\n"),
  });
  return EXIT.ok;
}

const KIND = "root-key";

/**
 * Makes a root key in a file that a person's passphrase seals (scrypt); returns its public part.
 *
 * @throws KeyError `ERR_KEY_FILE` where anything stands already, `ERR_ROOT_MEMBER` for a bad name
 */
export function createRootKeyFile(path: string, name: string, passphrase: Secret): Buffer {
  if (!ROOT_KEY_NAME.test(name))
    throw new KeyError("ERR_ROOT_MEMBER", `Name of a root key: expected ${ROOT_KEY_NAME.source}`);
  if (privateFileExists(path)) throw new KeyError("ERR_KEY_FILE", `${path} exists`);
  const { privateKey } = generateKeyPair("Ed25519");
  sealPrivateKey(path, privateKey, passphrase, { kdf: "scrypt", kind: KIND });
  return encodeRootKey(name, privateKey);
}

/** @throws KeyError `ERR_KEY_FILE`, `ERR_KEY_PASSPHRASE`; as `readPrivateFile` */
export function openRootKeyFile(path: string, passphrase: Secret): KeyObject {
  return openPrivateKey(path, passphrase, KIND);
}

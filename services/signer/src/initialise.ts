import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { privateFileExists, Secret, writeDurable } from "@redoubt/base";
import { createKeyFile, openKeyFile, writeSealedFile } from "@redoubt/custody";
import { encodeVerifierKey, logId, SIGNATURE_TYPE } from "@redoubt/tlog";

/** Names of a signer's own files, below its folder. */
export const SIGNER_FILES = {
  ring: "ring.key",
  writer: "writer.key",
  body: "body.key",
  custody: "custody",
  state: "state.json",
  journals: "journals",
} as const;

export const BODY_KEY_KIND = "body-key";

/**
 * Makes the keys that others must know before this signer runs, in its folder. Running it again after a crash keeps the
 * keys that exist.
 */
export function initialise(
  folder: string,
  { realm, origin }: { readonly realm: string; readonly origin: string },
): { readonly ring: string; readonly writer: string } {
  const ring = ensureKeyFile(join(folder, SIGNER_FILES.ring));
  const writer = ensureKeyFile(join(folder, SIGNER_FILES.writer));
  const bodyPath = join(folder, SIGNER_FILES.body);
  if (!privateFileExists(bodyPath)) makeBodyKey(bodyPath);
  mkdirSync(join(folder, SIGNER_FILES.custody), { recursive: true, mode: 0o700 });
  const type = SIGNATURE_TYPE.ed25519;
  return {
    ring: encodeVerifierKey({ name: ringName(realm), type, publicKey: ring.publicKey }),
    writer: encodeVerifierKey({ name: `${origin}/writer`, type, publicKey: writer.publicKey }),
  };
}

function ensureKeyFile(path: string): ReturnType<typeof openKeyFile> {
  return privateFileExists(path) ? openKeyFile(path) : createKeyFile(path, "Ed25519");
}

function makeBodyKey(path: string): void {
  const passphrase = Secret.random();
  writeDurable(`${path}.pass`, passphrase.reveal());
  writeSealedFile(path, randomBytes(32), passphrase, { kdf: "hkdf-sha256", kind: BODY_KEY_KIND });
}

/**
 * Makes the writer's key of a log that takes another's place, in the folder of a signer that has its keys already. If
 * an earlier attempt made the key, reads it. Returns the writer's verifier key.
 */
export function initialiseLog(folder: string, origin: string): string {
  const { publicKey } = ensureKeyFile(join(folder, writerFile(origin)));
  return encodeVerifierKey({ name: `${origin}/writer`, type: SIGNATURE_TYPE.ed25519, publicKey });
}

/**
 * Opens the writer's key of a log. That of a signer's first log has a plain name; each later log has a file of its own.
 */
export function openWriterKey(folder: string, origin: string): ReturnType<typeof openKeyFile> {
  const own = join(folder, writerFile(origin));
  return openKeyFile(privateFileExists(own) ? own : join(folder, SIGNER_FILES.writer));
}

function writerFile(origin: string): string {
  return `writer-${logId(origin)}.key`;
}

export function ringName(realm: string): string {
  return `ring/${realm}`;
}

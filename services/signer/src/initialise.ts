import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Secret, writeDurable } from "@redoubt/base";
import { createKeyFile, writeSealedFile } from "@redoubt/keys";
import { encodeVerifierKey, SIGNATURE_TYPE } from "@redoubt/tlog";

/** Names of a signer's own files, below its folder. */
export const SIGNER_FILES = {
  ring: "ring.key",
  writer: "writer.key",
  body: "body.key",
  custody: "custody",
  state: "state.json",
} as const;

export const BODY_KEY_KIND = "body-key";

/** Makes the keys that others must know before this signer runs, in its fresh folder. */
export function initialise(
  folder: string,
  { realm, log }: { readonly realm: string; readonly log: string },
): { readonly ring: string; readonly writer: string } {
  const ring = createKeyFile(join(folder, SIGNER_FILES.ring), "Ed25519");
  const writer = createKeyFile(join(folder, SIGNER_FILES.writer), "Ed25519");
  const passphrase = Secret.random();
  const bodyPath = join(folder, SIGNER_FILES.body);
  writeDurable(`${bodyPath}.pass`, passphrase.reveal());
  writeSealedFile(bodyPath, randomBytes(32), passphrase, {
    kdf: "hkdf-sha256",
    kind: BODY_KEY_KIND,
  });
  mkdirSync(join(folder, SIGNER_FILES.custody), { mode: 0o700 });
  const type = SIGNATURE_TYPE.ed25519;
  return {
    ring: encodeVerifierKey({ name: ringName(realm), type, publicKey: ring.publicKey }),
    writer: encodeVerifierKey({ name: `${log}/writer`, type, publicKey: writer.publicKey }),
  };
}

export function ringName(realm: string): string {
  return `ring/${realm}`;
}

import { createPrivateKey, type KeyObject } from "node:crypto";
import type { Secret } from "@redoubt/base";
import { KeyError } from "@redoubt/keys";
import { openSealedFile, writeSealedFile, type SealedHeader } from "./sealed-file.ts";

/** Seals a private key; its plain bytes do not outlive the call. */
export function sealPrivateKey(
  path: string,
  privateKey: KeyObject,
  passphrase: Secret,
  header: SealedHeader,
): void {
  const der = privateKey.export({ format: "der", type: "pkcs8" });
  try {
    writeSealedFile(path, der, passphrase, header);
  } finally {
    der.fill(0);
  }
}

/** @throws KeyError `ERR_KEY_FILE`, `ERR_KEY_PASSPHRASE`; as `readPrivateFile` */
export function openPrivateKey(path: string, passphrase: Secret, kind: string): KeyObject {
  const der = openSealedFile(path, passphrase, kind);
  try {
    return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  } catch (cause) {
    throw new KeyError("ERR_KEY_FILE", `${path} holds no private key`, { cause });
  } finally {
    der.fill(0);
  }
}

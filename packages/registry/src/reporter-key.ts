import { createPublicKey } from "node:crypto";
import { reporterKey } from "@redoubt/verify";
import { encodeRootPublicKey } from "./root-public-key.ts";

/**
 * The public key of the reporter that has this secret, in base64url as the registry has it (docs/spec/reports.md §1).
 *
 * @throws TypeError for anything but 32 bytes in base64url
 */
export function reporterPublicKey(secret: string): string {
  return encodeRootPublicKey(createPublicKey(reporterKey(secret)));
}

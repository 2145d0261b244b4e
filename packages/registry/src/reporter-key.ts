import { createPublicKey } from "node:crypto";
import { reporterKey } from "@redoubt/verify";
import { encodeRootPublicKey } from "./root-public-key.ts";

/**
 * What the registry says of a reporter whose secret this is (docs/spec/reports.md §1).
 *
 * @throws TypeError for anything but 32 bytes in base64url
 */
export function reporterPublicKey(secret: string): string {
  return encodeRootPublicKey(createPublicKey(reporterKey(secret)));
}

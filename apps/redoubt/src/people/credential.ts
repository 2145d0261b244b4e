import { decodeBase64url } from "@redoubt/verify/base64url";
import { optionError } from "../command.ts";

const MAX_CREDENTIAL_BYTES = 1023;

/** @throws ServiceError `ERR_OPTION` */
export function readCredential(id: string): Buffer {
  try {
    return decodeBase64url(id, { maxBytes: MAX_CREDENTIAL_BYTES });
  } catch {
    throw optionError("A passkey is named by its id, as redoubt people show has it");
  }
}

import type { MemberReader } from "@redoubt/base";
import { decodeBase64url } from "@redoubt/verify/base64url";
import {
  AUTHENTICATOR_DATA_BYTES,
  MAX_CLIENT_DATA_BYTES,
  MAX_SIGNATURE_BYTES,
  type Assertion,
} from "./assertion.ts";
import { CREDENTIAL_ID, MAX_CREDENTIAL_TEXT } from "./person.ts";

/**
 * Reads an assertion's members, each in base64url, as browsers and envelopes have them; no other may be there.
 *
 * @throws ServiceError, Base64urlError
 */
export function readAssertion(reader: MemberReader): Assertion {
  const assertion = {
    credentialId: reader.string("credentialId", MAX_CREDENTIAL_TEXT, CREDENTIAL_ID),
    clientDataJSON: bytesOf(reader, "clientDataJSON", MAX_CLIENT_DATA_BYTES),
    authenticatorData: bytesOf(reader, "authenticatorData", AUTHENTICATOR_DATA_BYTES),
    signature: bytesOf(reader, "signature", MAX_SIGNATURE_BYTES),
  };
  reader.done();
  return assertion;
}

function bytesOf(reader: MemberReader, name: string, maxBytes: number): Buffer {
  return decodeBase64url(reader.string(name, Math.ceil((maxBytes * 4) / 3)), { maxBytes });
}

import { parseJsonObject } from "@redoubt/verify/json";
import type { ExpectedAnswer } from "./passkey.ts";
import { orRefuse, PasskeyError } from "./passkey-error.ts";

/**
 * Checks what the browser says of the call (WebAuthn §5.8.1), which the authenticator signed. Strict JSON, so that the
 * library behind cannot read another value of a member that stands twice.
 *
 * @throws PasskeyError
 */
export function checkClientData(
  clientData: Uint8Array,
  type: "webauthn.create" | "webauthn.get",
  expected: ExpectedAnswer,
): void {
  const said = orRefuse("ERR_PASSKEY_FORM", "Client data: not strict JSON", () =>
    parseJsonObject(clientData),
  );
  // THREAT-20: an answer to one question is none to another.
  if (said["type"] !== type) throw new PasskeyError("ERR_PASSKEY_TYPE", "Client data: other type");
  if (said["challenge"] !== expected.challenge)
    throw new PasskeyError("ERR_PASSKEY_CHALLENGE", "Client data: other challenge");
  // THREAT-18: the browser writes the origin, so a look-alike page cannot pass for ours.
  if (said["origin"] !== expected.origin)
    throw new PasskeyError("ERR_PASSKEY_ORIGIN", "Client data: other origin");
  // The library lets a frame of another site pass where `topOrigin` is absent, as in Safari.
  const { crossOrigin } = said;
  if ((crossOrigin !== undefined && crossOrigin !== false) || Object.hasOwn(said, "topOrigin"))
    throw new PasskeyError("ERR_PASSKEY_CROSS_ORIGIN", "Client data: made in a frame");
}

import { encodeBase64url } from "@redoubt/verify/base64url";
import type { AlarmInput } from "./kinds.ts";

/** THREAT-28: somebody validates a logged token of which its issuer says that it never got it from the signer. */
export function orphanUsed(digest: Buffer, reporter: string): AlarmInput {
  return {
    kind: "orphan-used",
    subject: reporter,
    reporter,
    digests: [encodeBase64url(digest)],
    detail: { reporter },
  };
}

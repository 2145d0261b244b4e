import { anyObject, bytes, integer } from "./member.ts";
import { optional } from "./message.ts";
import { operation } from "./operation.ts";

const nonce = bytes({ bytes: 32 });

/** The broker's socket (docs/spec/leases.md §6). */
export const BROKER = {
  /** For one `grant` of this caller. `time`: the broker's, POSIX seconds. */
  nonce: operation("nonce", {}, { nonce, time: integer(), validSeconds: integer(1) }),
  /**
   * The evidence is attached, as a JSON document; the answer brings the sealed lease. `credential` and `secret` are there
   * where only the machine's TPM can open it: what TPM2_ActivateCredential takes.
   */
  grant: operation(
    "grant",
    { nonce, binding: anyObject },
    {
      credential: optional(bytes({ maxBytes: 512 })),
      secret: optional(bytes({ maxBytes: 1024 })),
    },
  ),
} as const;

import { bytes, integer, oneOf, text } from "./member.ts";
import { group, list, optional } from "./message.ts";
import { operation } from "./operation.ts";

/** What one ceremony may hold (docs/spec/wire.md §10). */
export const PRESENCE_LIMITS = {
  statementBytes: 8192,
  /** As many as an approval may have. */
  approvers: 8,
  credentials: 32,
  /** Below the ten seconds and more that clients wait for an answer. */
  waitMs: 20_000,
} as const;

/** 128 bits that nobody guesses: the id is all that leads to the page. */
const id = text(22, /^[\w-]{22}$/);
/** WebAuthn §4: at most 1023 bytes. */
const credentialId = text(1364, /^[\w-]+$/);

/** As a browser gave it. */
export const ASSERTION = {
  credentialId,
  clientDataJSON: bytes({ maxBytes: 2048 }),
  authenticatorData: bytes({ bytes: 37 }),
  signature: bytes({ maxBytes: 512 }),
};

/** The sockets of the ceremony page. */
export const PRESENCE = {
  /**
   * Shows a statement until it ends. `credentials`: the passkeys that may approve it; without them, any may. `approvers`:
   * how many assertions are collected, each of another passkey.
   */
  open: operation(
    "open",
    {
      statement: bytes({ maxBytes: PRESENCE_LIMITS.statementBytes }),
      approvers: integer(1, PRESENCE_LIMITS.approvers),
      credentials: optional(list(credentialId, PRESENCE_LIMITS.credentials, 1)),
    },
    { id, url: text(512), code: text(8, /^[0-9A-HJKMNP-TV-Z]{8}$/) },
  ),
  /** Answers when something changes, or after `waitMs`. The assertions are as the browser gave them: not verified. */
  collect: operation(
    "collect",
    { id, waitMs: integer(0, PRESENCE_LIMITS.waitMs) },
    {
      state: oneOf("open", "collected", "declined", "expired"),
      assertions: list(group(ASSERTION), PRESENCE_LIMITS.approvers),
    },
  ),
  close: operation("close", { id }, {}),
} as const;

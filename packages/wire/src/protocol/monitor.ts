import { SHA256 } from "@redoubt/base";
import { anything, bytes, flag, integer, mark, oneOf, text, textOrEmpty } from "./member.ts";
import { group, list, nullable, optional } from "./message.ts";
import { operation } from "./operation.ts";

/** What one report or question of a monitor's callers may hold (docs/spec/wire.md §5). */
export const MONITOR_LIMITS = {
  digests: 4096,
  audiences: 256,
  /** Tokens that one report says are lost or forgotten; the rest goes into the next one. */
  lost: 1_000_000,
  detailChars: 1024,
  alarms: 1000,
  registryItems: 512,
  coverageRows: 100,
  /** Processes of one caller at once. */
  replicas: 16,
} as const;

/** Kinds of `event` that are states: one lasts until its sender says `over`, or until the sender's process ends. */
export const MONITOR_EVENT_STATES: readonly string[] = ["connections-full", "delivery-queue-full"];

const digest = text(43, SHA256);
const name = text(64, /^[A-Za-z0-9][A-Za-z0-9_.-]*$/);
const origin = text(256, /^[!-~]+$/);
const detail = optional(text(MONITOR_LIMITS.detailChars));
const hash = bytes({ bytes: 32 });
const realm = text(64);

const alarm = group({
  id: integer(1),
  /** Seconds since the epoch. */
  at: integer(),
  kind: text(64),
  severity: text(32),
  /** Of the token that the alarm is about; `close` must name it. */
  digest: optional(text(64)),
  /** Where it is about several tokens, the first of them, `digest` included. */
  digests: optional(list(text(64), 256)),
  log: optional(text()),
  reporter: optional(text()),
  detail: anything,
  count: integer(),
  /** Why it was closed; absent while it is open. */
  closed: optional(text()),
});

/** Which of the caller's processes this is, if there are several at once; absent for the first. */
const replica = optional(integer(2, MONITOR_LIMITS.replicas));
const page = { since: integer(), from: integer() };

/** The operations of a monitor's sockets (docs/spec/wire.md §5). */
export const MONITOR = {
  delivered: operation(
    "delivered",
    {
      session: text(64, /^[A-Za-z0-9_-]+$/),
      replica,
      seq: integer(),
      digests: list(digest, MONITOR_LIMITS.digests),
      audiences: optional(
        list(
          group({ audience: text(), count: integer(1, MONITOR_LIMITS.digests) }),
          MONITOR_LIMITS.audiences,
        ),
      ),
      lost: optional(integer(0, MONITOR_LIMITS.lost)),
      forgotten: optional(integer(0, MONITOR_LIMITS.lost)),
      resumed: mark,
      closing: mark,
    },
    { seq: integer() },
  ),
  refusal: operation("refusal", { code: name, caller: name, detail }, {}),
  /** `over`: the state of this kind, which an earlier event began, has ended. */
  event: operation("event", { kind: name, replica, detail, over: mark }, {}),
  /** `nonce`: at least 128 bits. */
  witnessed: operation(
    "witnessed",
    { log: origin, nonce: text(64, /^[A-Za-z0-9_-]{22,64}$/) },
    { note: text(8192) },
  ),
  forward: operation(
    "witness-forward",
    {
      statement: bytes({ maxBytes: 4096 }),
      envelope: bytes({ maxBytes: 1024 }),
      note: text(8192),
      proof: list(hash, 64),
    },
    { from: integer(), to: integer(), presence: oneOf("none") },
  ),
  alarms: operation(
    "alarms",
    {
      since: optional(integer()),
      digest: optional(text(43)),
      limit: optional(integer(1, MONITOR_LIMITS.alarms)),
    },
    { alarms: list(alarm, MONITOR_LIMITS.alarms), next: integer() },
  ),
  close: operation(
    "close",
    { alarm: integer(1), digest: optional(text(43)), reason: text() },
    { presence: oneOf("none") },
  ),
  /** Of a monitor without its database, only the first four members are there; the last of them says why. */
  status: operation(
    "status",
    {},
    {
      witness: text(),
      labels: list(text(), 64),
      ready: flag,
      reason: optional(textOrEmpty(4096)),
      auditAgeSeconds: optional(integer()),
      logs: optional(
        list(
          group({
            log: text(),
            size: integer(),
            cosigned: integer(),
            halted: nullable(text(4096)),
          }),
          10_000,
        ),
      ),
      orphaned: optional(integer()),
      reporters: optional(
        list(
          group({
            reporter: text(),
            status: text(64),
            lastReport: nullable(integer()),
            openMisses: integer(),
          }),
          100_000,
        ),
      ),
      neverReported: optional(integer()),
      pending: optional(group({ deliveries: integer(), entries: integer() })),
      lastReportSeconds: optional(nullable(integer())),
      open: optional(integer()),
      webhook: optional(nullable(group({ waiting: integer(), dead: integer() }))),
    },
  ),
  coverage: operation("coverage", page, {
    items: list(
      group({ realm, audience: nullable(text()), issued: integer(), seen: integer() }),
      MONITOR_LIMITS.coverageRows,
    ),
    next: nullable(integer()),
  }),
  verifications: operation("verifications", page, {
    items: list(
      group({
        reporter: text(),
        sdk: text(64),
        issuer: nullable(text()),
        kind: text(8),
        outcome: nullable(text(64)),
        count: integer(),
      }),
      MONITOR_LIMITS.coverageRows,
    ),
    next: nullable(integer()),
  }),
  find: operation(
    "find",
    { digests: list(digest, MONITOR_LIMITS.digests) },
    { items: list(group({ realm: nullable(realm), seen: flag }), MONITOR_LIMITS.digests) },
  ),
  /** The monitor's copy of the registry. */
  registry: operation(
    "registry",
    { from: integer(), max: integer(1, MONITOR_LIMITS.registryItems) },
    {
      from: integer(),
      size: integer(),
      items: list(
        group({
          statement: bytes({ maxBytes: 150 * 1024 }),
          envelope: bytes({ maxBytes: 4096 }),
        }),
        MONITOR_LIMITS.registryItems,
      ),
    },
  ),
  backup: operation("backup", {}, { file: text(256) }),
} as const;

import { encodeBase64url } from "@redoubt/verify/base64url";
import type { Answered, MONITOR } from "@redoubt/wire";

export type Severity = "critical" | "warning" | "notice";

/** Every alarm that the monitor can raise, and how loud it is. */
export const ALARM_SEVERITY = {
  forged: "critical",
  "foreign-key": "critical",
  "unjudged-miss": "critical",
  undelivered: "critical",
  "orphan-used": "critical",
  "unlogged-delivery": "critical",
  fork: "critical",
  "unsigned-batch": "critical",
  "bad-entry": "critical",
  "witness-rollback": "critical",
  "log-shrunk": "critical",
  "registry-hidden": "critical",
  "audit-blind": "critical",
  "log-cut": "critical",
  "disk-critical": "critical",
  "deliveries-full": "critical",
  "void-statement": "warning",
  "connections-full": "warning",
  "disk-low": "warning",
  "witness-late": "warning",
  "witness-moved": "warning",
  "log-closed": "warning",
  "key-replaced": "warning",
  "unproven-miss": "warning",
  "bad-report": "warning",
  "reporter-silent": "warning",
  "jwks-unreachable": "warning",
  "signer-refusal": "warning",
  "body-read": "notice",
  orphaned: "notice",
  event: "notice",
} as const satisfies Readonly<Record<string, Severity>>;

export type AlarmKind = keyof typeof ALARM_SEVERITY;

export type Detail = Readonly<Record<string, string | number | boolean>>;

export type Alarm = Answered<typeof MONITOR.alarms>["alarms"][number];

/** What was new at an alarm that is open already: what the webhook sends as `alarm.updated`. */
export interface AlarmNotice {
  readonly id: number;
  /** From 2 on: the first notice of an alarm is the alarm itself. */
  readonly sequence: number;
  /** Seconds. */
  readonly at: number;
  readonly kind: string;
  readonly severity: string;
  readonly log?: string;
  readonly reporter?: string;
  /** Hits since the alarm was raised. */
  readonly count: number;
  /** Those of them that no notice counted before. The `count` of the raised alarm and all of these add up. */
  readonly added: number;
  /** base64url; the first of the digests among them. */
  readonly digests: readonly string[];
  /** Of the newest hit. */
  readonly detail: unknown;
}

/** Where notices leave. `false`: there is no room now, and the same is to be offered again. */
export interface AlarmOutlet {
  raised(alarm: Alarm): boolean;
  updated(notice: AlarmNotice): boolean;
  /** Updates of this alarm that did not leave yet. */
  waiting(id: number): number;
}

/** What happened. Hits with one (kind, subject) are one alarm with a count until that alarm is closed. */
export interface AlarmInput {
  readonly kind: AlarmKind;
  readonly subject: string;
  /** base64url. */
  readonly digests?: readonly string[];
  readonly log?: string;
  readonly reporter?: string;
  readonly detail: Detail;
  readonly count?: number;
}

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

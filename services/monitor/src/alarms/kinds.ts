export type Severity = "critical" | "warning" | "notice";

/** Every alarm that the monitor can raise, and how loud it is. */
export const ALARM_SEVERITY = {
  forged: "critical",
  "foreign-key": "critical",
  undelivered: "critical",
  "unlogged-delivery": "critical",
  fork: "critical",
  "unsigned-batch": "critical",
  "bad-entry": "critical",
  "witness-rollback": "critical",
  "log-shrunk": "critical",
  "registry-hidden": "critical",
  "audit-blind": "critical",
  "void-statement": "warning",
  "witness-late": "warning",
  "unproven-miss": "warning",
  "bad-report": "warning",
  "reporter-silent": "warning",
  "jwks-unreachable": "warning",
  "signer-refusal": "warning",
  orphaned: "notice",
  event: "notice",
} as const satisfies Readonly<Record<string, Severity>>;

export type AlarmKind = keyof typeof ALARM_SEVERITY;

export type Detail = Readonly<Record<string, string | number | boolean>>;

export interface Alarm {
  readonly id: number;
  /** Seconds. */
  readonly at: number;
  readonly kind: string;
  readonly severity: string;
  /** base64url; the one that closing must name. */
  readonly digest?: string;
  /** The first of them, `digest` included, when there are several. */
  readonly digests?: readonly string[];
  readonly log?: string;
  readonly reporter?: string;
  readonly detail: unknown;
  readonly count: number;
  readonly closed?: string;
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

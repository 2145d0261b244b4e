import { PROCESS_METRICS, ServiceError, type Metric, type Sample } from "@redoubt/base";
import { parseJsonObject } from "@redoubt/verify/json";
import type { Handler } from "../connection.ts";
import { finite, flag, integer, text, textOrEmpty } from "./member.ts";
import { group, list, optional } from "./message.ts";
import { operation, route, routesByName, type Answered } from "./operation.ts";

/** Each kind of process, with the metrics that it may give samples of (docs/reference/metrics.md). */
const OF_KIND = {
  supervisor: {
    redoubt_up: {
      type: "gauge",
      help: "1 if the process runs and said its metrics within a second",
    },
    redoubt_ready: { type: "gauge", help: "1 if the process can do its work" },
    redoubt_restarts_total: { type: "counter", help: "How often the process was started again" },
    redoubt_log_lines_lost_total: {
      type: "counter",
      help: "Event lines of all processes that could not be written, on a full disk for instance",
    },
    redoubt_disk_free_bytes: { type: "gauge", help: "Free space on the disk of the data folder" },
  },
  issuer: {
    redoubt_tokens_issued_total: { type: "counter", help: "Tokens that left the issuer" },
    redoubt_tokens_refused_total: {
      type: "counter",
      label: "code",
      help: "Token requests that were refused, by code (docs/reference/errors.md)",
    },
    redoubt_token_issuance_seconds: {
      type: "histogram",
      buckets: [0.005, 0.02, 0.1, 0.5, 2],
      help: "Seconds from a token request to its token, of those that got one",
    },
    redoubt_tokens_under_way: {
      type: "gauge",
      help: "Token requests that wait for the signer",
    },
    redoubt_deliveries_waiting: {
      type: "gauge",
      help: "Tokens whose delivery the monitor has not acknowledged yet",
    },
    redoubt_deliveries_unknown: {
      type: "gauge",
      help: "Tokens of which it is not known whether they were delivered, not reported yet",
    },
  },
  signer: {
    redoubt_signer_entries_pending: {
      type: "gauge",
      help: "Entries that wait for the ledger",
    },
    redoubt_signer_cosignature_age_seconds: {
      type: "gauge",
      help: "Age of the newest cosignature that the signer has checked; it stops at maxUnwitnessed",
    },
  },
  ledger: {
    redoubt_log_entries: {
      type: "gauge",
      label: "log",
      help: "Entries that are committed; of this and what follows, only logs that are open",
    },
    redoubt_log_cosigned_entries: {
      type: "gauge",
      label: "log",
      help: "Entries that the witness has cosigned",
    },
    redoubt_log_cosignature_age_seconds: {
      type: "gauge",
      label: "log",
      help: "Seconds since the newest cosignature or the ledger's start; absent while it is empty",
    },
    redoubt_log_halted: {
      type: "gauge",
      label: "log",
      help: "1 while the log takes and gives nothing",
    },
    redoubt_batches_committed_total: {
      type: "counter",
      help: "Batches that became durable",
    },
  },
  monitor: {
    redoubt_alarms_open: { type: "gauge", label: "severity", help: "Alarms that are open" },
    redoubt_monitor_entries_read: {
      type: "gauge",
      label: "log",
      help: "Entries that the monitor has read; its lag is what redoubt_log_entries has more",
    },
    redoubt_monitor_audit_age_seconds: {
      type: "gauge",
      help: "Seconds since every log was read to its end",
    },
    redoubt_monitor_logs_halted: {
      type: "gauge",
      help: "Logs to which the witness gives no cosignature any more",
    },
    redoubt_monitor_joins_pending: {
      type: "gauge",
      help: "Deliveries and entries whose other half has not come yet",
    },
    redoubt_reports_received_total: {
      type: "counter",
      help: "Reports of verifiers that were acknowledged",
    },
    redoubt_report_age_seconds: {
      type: "gauge",
      help: "Seconds since any verifier's report was acknowledged; absent before the first",
    },
    redoubt_reporters_silent: {
      type: "gauge",
      help: "Active reporters that have never reported (P4 does not hold for them)",
    },
    redoubt_webhooks_waiting: { type: "gauge", help: "Webhooks that were not delivered yet" },
    redoubt_webhooks_dead: { type: "gauge", help: "Webhooks that were given up" },
  },
  publisher: {
    redoubt_publisher_fresh: {
      type: "gauge",
      help: "1 while the ledger was heard within the last minute",
    },
  },
  presence: {
    redoubt_presence_statements_shown: {
      type: "gauge",
      help: "Statements that wait for an approval, and those that ended lately",
    },
  },
  "kube-front": {
    redoubt_kube_signer_connected: { type: "gauge", help: "1 while there is a signer" },
    redoubt_kube_calls_under_way: {
      type: "gauge",
      help: "Calls of kube-apiserver that wait for the signer",
    },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Metric>>>>;
export type MetricsKind = keyof typeof OF_KIND;

/** What several kinds have. */
const SHARED = {
  redoubt_registry_entries_read: {
    type: "gauge",
    help: "Entries of the registry that the process has read",
    of: ["issuer", "signer", "publisher"],
  },
  redoubt_http_connections: {
    type: "gauge",
    help: "HTTP connections that are open",
    of: ["issuer", "publisher", "presence"],
  },
  redoubt_http_connections_evicted_total: {
    type: "counter",
    help: "HTTP connections that lost their place to a newcomer",
    of: ["issuer", "publisher", "presence"],
  },
  redoubt_sqlite_wal_bytes: {
    type: "gauge",
    help: "Size of the database's write-ahead log",
    of: ["ledger", "monitor", "issuer"],
  },
} as const satisfies Readonly<Record<string, Metric & { readonly of: readonly MetricsKind[] }>>;

/** A metric with the kinds of process that have it; none is everybody. */
export type KnownMetric = Metric & { readonly of?: readonly string[] };
type Names<T> = T extends unknown ? keyof T : never;
export type MetricName =
  | Names<(typeof OF_KIND)[MetricsKind]>
  | keyof typeof SHARED
  | keyof typeof PROCESS_METRICS;

/** Every metric that a process can have; no other name reaches the page of the supervisor. */
export const METRICS: ReadonlyMap<string, KnownMetric> = new Map<string, KnownMetric>([
  ...Object.entries<KnownMetric>(PROCESS_METRICS),
  ...Object.entries<KnownMetric>(SHARED),
  ...Object.entries<Readonly<Record<string, Metric>>>(OF_KIND).flatMap(([kind, metrics]) =>
    Object.entries(metrics).map(([name, metric]) => [name, { ...metric, of: [kind] }] as const),
  ),
]);

export const ISSUANCE_BUCKETS = OF_KIND.issuer.redoubt_token_issuance_seconds.buckets;

const LIMITS = { maxBytes: 256 * 1024, maxDepth: 5 } as const;
const MAX_SAMPLES = 512;
const MAX_BUCKETS = 16;
const MAX_REASON = 4096;
const LABELS: Readonly<Record<NonNullable<Metric["label"]>, RegExp>> = {
  code: /^ERR_[A-Z0-9_]{1,60}$/,
  event: /^[a-z][a-z0-9_]{0,63}$/,
  log: /^[!-~]{1,256}$/,
  severity: /^[a-z]{1,16}$/,
};

/** What every process tells its operator of itself: nothing of it is secret, and asking changes nothing. */
export const PROCESS = {
  metrics: operation(
    "metrics",
    {},
    {
      samples: list(
        group({
          name: text(64),
          label: optional(text(256)),
          value: finite,
          counts: optional(list(integer(), MAX_BUCKETS)),
        }),
        MAX_SAMPLES,
      ),
    },
  ),
  health: operation("health", {}, { ready: flag, reason: optional(textOrEmpty(MAX_REASON)) }),
} as const;

/** Answers the operator's `metrics` and `health`; any other call, and any other caller's, is for `handler`. */
export function processHandler(
  process: { status(): object; metrics(): readonly Sample[] },
  handler: Handler,
): Handler {
  const routes = routesByName([
    route(PROCESS.metrics, () => ({ samples: process.metrics() })),
    route(PROCESS.health, () => healthOf(process.status())),
  ]);
  return (call) => {
    const found = call.caller === "operator" ? routes.get(call.op) : undefined;
    return found ? found.handle(call) : handler(call);
  };
}

function healthOf(status: object): Answered<typeof PROCESS.health> {
  const ready = !("ready" in status && status.ready === false);
  const reason = "reason" in status ? status.reason : undefined;
  if (ready || typeof reason !== "string") return { ready };
  return { ready, reason: reason.slice(0, MAX_REASON).toWellFormed() };
}

/**
 * Reads what a process of this kind says of its metrics. It may be compromised: it can lie about its own numbers, and
 * about nothing else.
 *
 * @param answer JSON, as `runService` answers it
 * @throws ServiceError `ERR_REQUEST_MEMBER` for a metric that such a process does not have; JsonError for what is no JSON
 */
export function readMetrics(kind: string, answer: unknown): readonly Sample[] {
  if (typeof answer !== "string") throw refused("in a text");
  const { samples } = PROCESS.metrics.answer.read(parseJsonObject(answer, LIMITS));
  const seen = new Set<string>();
  for (const sample of samples) {
    checkSample(kind, sample);
    const series = `${sample.name} ${sample.label ?? ""}`;
    if (seen.has(series)) throw refused("one sample of each");
    seen.add(series);
  }
  return samples;
}

function checkSample(kind: string, { name, label, counts }: Sample): void {
  const metric = METRICS.get(name);
  if (!metric || !(metric.of?.includes(kind) ?? true)) throw refused(`metrics of ${kind}`);
  const isLabelled = metric.label
    ? label !== undefined && LABELS[metric.label].test(label)
    : label === undefined;
  if (!isLabelled) throw refused("samples with the label of their metric");
  const buckets = metric.buckets && metric.buckets.length + 1;
  if (counts?.length !== buckets) throw refused("samples with the buckets of their metric");
}

function refused(expected: string): ServiceError {
  return new ServiceError("ERR_REQUEST_MEMBER", `metrics answer: samples must be ${expected}`);
}

/** Samples without a label; what is undefined cannot be said now. */
export function samplesOf(
  numbers: Readonly<Partial<Record<MetricName, number | undefined>>>,
): Sample<MetricName>[] {
  return Object.entries(numbers).flatMap(([name, value]) =>
    isMetric(name) && value !== undefined ? [{ name, value }] : [],
  );
}

/** The samples of one metric, by its label. */
export function samplesBy(
  name: MetricName,
  values: Iterable<readonly [label: string, value: number]>,
): Sample<MetricName>[] {
  return Array.from(values, ([label, value]) => ({ name, label, value }));
}

function isMetric(name: string): name is MetricName {
  return METRICS.has(name);
}

import type { Sample, Space } from "@redoubt/base";
import { METRICS, readMetrics } from "@redoubt/wire";
import { roleOf, type ServiceName } from "../layout.ts";
import type { Child } from "./child.ts";
import type { PlainPage } from "./status-page.ts";
import { reasonLine, viewOf, type ProcessView } from "./watches.ts";

/** A process that is slower than this is not up: it must not hold up the numbers of all the others. */
const ANSWER_MS = 1000;
/** Of one process, as long as the supervisor runs: each new label value is one more series that a Prometheus keeps. */
const MAX_SERIES = 1024;
/** https://prometheus.io/docs/instrumenting/exposition_formats/ */
const TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN = "text/plain; charset=utf-8";

export type Children = ReadonlyMap<
  ServiceName,
  Pick<Child, "isReady" | "pid" | "restarts" | "ask">
>;

/** One number on the page, with every label that it has there. */
export interface Series extends Sample {
  readonly labels: Readonly<Record<string, string>>;
}

/** What the supervisor sees of the machine, and of what it keeps itself. */
export interface Machine {
  readonly space: Space;
  readonly linesLost: number;
}

/** What is served for operators' monitoring (docs/guide/monitoring.md). However many ask at once, each process is asked once. */
export function metricsPages(
  children: Children,
  machine: () => Machine,
): Readonly<Record<string, () => Promise<PlainPage>>> {
  const known = new Map<ServiceName, Set<string>>();
  return {
    "/livez": () => Promise.resolve({ status: 200, type: PLAIN, body: "live\n" }),
    "/readyz": shared(() => readyPage(children)),
    "/metrics": shared(async () => ({
      status: 200,
      type: TEXT_FORMAT,
      body: renderMetrics([...machineSeries(machine()), ...(await collect(children, known))]),
    })),
  };
}

function shared<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= work().finally(() => {
      running = undefined;
    });
    return running;
  };
}

async function readyPage(children: Children): Promise<PlainPage> {
  const views = await ofEach(children, viewChild);
  const lines = views.flatMap(([service, { ready, reason }]) =>
    ready ? [] : [`${service}: ${reasonLine(reason, "is not ready")}\n`],
  );
  return lines.length === 0
    ? { status: 200, type: PLAIN, body: "ready\n" }
    : { status: 503, type: PLAIN, body: lines.join("") };
}

type ChildOf<T> = T extends ReadonlyMap<string, infer C> ? C : never;
type WatchedChild = ChildOf<Children>;

function ofEach<T>(
  children: Children,
  ask: (child: WatchedChild, service: ServiceName) => Promise<T>,
): Promise<(readonly [ServiceName, T])[]> {
  return Promise.all(
    [...children].map(async ([service, child]) => [service, await ask(child, service)] as const),
  );
}

async function viewChild(child: WatchedChild): Promise<ProcessView> {
  return viewOf(child, await child.ask("status", ANSWER_MS));
}

function machineSeries({ space, linesLost }: Machine): Series[] {
  const lost = { name: "redoubt_log_lines_lost_total", labels: {}, value: linesLost };
  if (space.level === "unknown") return [lost];
  return [lost, { name: "redoubt_disk_free_bytes", labels: {}, value: space.freeBytes }];
}

async function collect(
  children: Children,
  known: Map<ServiceName, Set<string>>,
): Promise<Series[]> {
  const found = await ofEach(children, async (child, service) => {
    const [view, answer] = await Promise.all([viewChild(child), child.ask("metrics", ANSWER_MS)]);
    const names = known.get(service) ?? new Set();
    known.set(service, names);
    return seriesOf(service, view, read(roleOf(service).kind, answer, names));
  });
  return found.flatMap(([, series]) => series);
}

function seriesOf(
  service: ServiceName,
  { ready, restarts }: ProcessView,
  samples: readonly Sample[] | undefined,
): Series[] {
  const { realm } = roleOf(service);
  // The table of ARCHITECTURE §2: a process speaks for itself and its realm, whatever it says.
  const labels = { process: service, ...(realm !== undefined && { realm }) };
  const own = [
    { name: "redoubt_up", value: samples ? 1 : 0 },
    { name: "redoubt_ready", value: ready ? 1 : 0 },
    { name: "redoubt_restarts_total", value: restarts },
  ];
  return [...own, ...(samples ?? [])].map((sample) => ({ ...sample, labels }));
}

/** Of a process that says anything else than it may, or ever new labels, nothing is shown. */
function read(kind: string, answer: unknown, known: Set<string>): readonly Sample[] | undefined {
  try {
    const samples = readMetrics(kind, answer);
    const news = samples
      .map(({ name, label }) => `${name} ${label}`)
      .filter((one) => !known.has(one));
    if (known.size + news.length > MAX_SERIES) return undefined;
    for (const one of news) known.add(one);
    return samples;
  } catch {
    return undefined;
  }
}

/** The text format, one family after the other; a family without a sample is left out. */
export function renderMetrics(all: readonly Series[]): string {
  const lines: string[] = [];
  for (const [name, { type, help, label, buckets }] of METRICS) {
    const family = all.filter((series) => series.name === name);
    if (family.length === 0) continue;
    lines.push(`# HELP ${name} ${escape(help)}`, `# TYPE ${name} ${type}`);
    for (const { labels, value, counts = [], ...series } of family) {
      const own = { ...labels, ...(label && { [label]: series.label ?? "" }) };
      if (!buckets) lines.push(`${name}${labelText(own)} ${value}`);
      else lines.push(...histogramLines(name, own, { buckets, counts, value }));
    }
  }
  return `${lines.join("\n")}\n`;
}

function histogramLines(
  name: string,
  labels: Series["labels"],
  {
    buckets,
    counts,
    value,
  }: Required<Pick<Series, "counts" | "value">> & { readonly buckets: readonly number[] },
): string[] {
  let count = 0;
  const lines = [...buckets, "+Inf"].map((le, i) => {
    count += counts?.[i] ?? 0;
    return `${name}_bucket${labelText({ ...labels, le: String(le) })} ${count}`;
  });
  const rest = labelText(labels);
  return [...lines, `${name}_sum${rest} ${value}`, `${name}_count${rest} ${count}`];
}

function labelText(labels: Series["labels"]): string {
  const pairs = Object.entries(labels).map(
    ([name, text]) => `${name}="${escape(text).replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escape(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

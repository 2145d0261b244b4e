import { errorCode, errorLine, nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import { parseVerifierKey, type VerifierKey } from "@redoubt/tlog";
import { ask, LEDGER } from "@redoubt/wire";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { withOperator, type Operator } from "../operator.ts";
import { span, table } from "../table.ts";
import { lookUntil } from "../wait.ts";
import { checkLog, type CheckedLog } from "./check-log.ts";
import { finding, isFinding } from "./finding.ts";
import { namedKeys, systemKeys, type LogKeys } from "./log-keys.ts";
import { folderLogs, httpLogs, type NamedSource } from "./log-source.ts";

export interface LedgerVerifyOptions {
  readonly dir?: string;
  readonly url?: string;
  readonly log?: string;
  readonly vkey?: readonly string[];
}

export interface LogFault {
  readonly origin: string | null;
  readonly code: string;
  readonly message: string;
}

interface Job {
  readonly sources: readonly NamedSource[];
  readonly keysOf: (origin: string) => LogKeys | undefined;
  /** Logs that must be among the sources. */
  readonly expected: readonly string[];
}

const PROGRESS_MS = 500;

export async function ledgerVerify(
  context: CommandContext,
  options: LedgerVerifyOptions,
): Promise<number> {
  if (options.dir !== undefined && options.url !== undefined)
    throw new ServiceError("ERR_OPTION", "Name a folder (--dir) or an address (--url), not both");
  const job = await planJob(context, options);
  const { checked, faults } = await checkAll(job, options.log, (line) =>
    context.terminal.notice(line),
  );
  if (checked.length === 0 && faults.length === 0)
    throw new ServiceError(
      "ERR_LOGS",
      `No such log is published${options.log ? `: ${options.log}` : ""}`,
    );
  context.terminal.result({ json: { logs: checked, faults }, text: reportText(checked, faults) });
  if (faults.length > 0) return EXIT.refused;
  return checked.every(({ label }) => label === "verified") ? EXIT.ok : EXIT.uncosigned;
}

/**
 * Decides where the logs are read from and by which keys they are judged: named ones, or those of the running system.
 */
async function planJob(context: CommandContext, options: LedgerVerifyOptions): Promise<Job> {
  const { dir, url, vkey = [] } = options;
  const folder = dir === undefined ? undefined : fileArgument(context, dir);
  if (folder !== undefined || url !== undefined) {
    const sources = folder === undefined ? await httpLogs(url ?? "") : folderLogs(folder);
    return { sources, keysOf: namedKeys(vkey), expected: [] };
  }
  const named = namedKeys(vkey);
  return withOperator(context, async (operator, { settings, ports }) => {
    const known = systemKeys(settings, await operator.readRegistry());
    const expected = await logsWithEntries(operator, [...known.keys()]);
    const publisher = `http://127.0.0.1:${ports.publisher}`;
    await untilCosigned(publisher, expected, parseVerifierKey(settings.witness));
    return {
      sources: await httpLogs(publisher),
      keysOf: vkey.length > 0 ? named : (origin) => known.get(origin),
      expected,
    };
  });
}

async function logsWithEntries(operator: Operator, logs: readonly string[]): Promise<string[]> {
  const sizes = await Promise.all(
    logs.map(async (log) => {
      // The ledger may have halted it; what is published of it must verify all the same.
      const closed = operator.registry.closedLogs.get(log);
      if (closed) return { log, size: closed.size };
      return ask(operator.client("ledger"), LEDGER.state, { log });
    }),
  );
  return sizes.filter(({ size }) => size > 0).map(({ log }) => log);
}

const PUBLISH_PATIENCE = { timeoutMs: 5100, pollMs: 300 };

/** P3: the first entries of a log are published a moment after they are durable, and cosigned within 5 s. */
async function untilCosigned(
  publisher: string,
  expected: readonly string[],
  witness: Pick<VerifierKey, "name">,
): Promise<void> {
  // Whether it is a cosignature at all is for the check: this only chooses when to look.
  const line = `\u2014 ${witness.name} `;
  await lookUntil(
    async () => {
      const logs = (await httpLogs(publisher)).filter(({ origin = "" }) =>
        expected.includes(origin),
      );
      const found = await Promise.all(logs.map(({ source }) => source.read("checkpoint")));
      return found.filter((note) => note?.includes(line)).length;
    },
    (cosigned) => cosigned === expected.length,
    PUBLISH_PATIENCE,
  );
}

async function checkAll(
  { sources, keysOf, expected }: Job,
  only: string | undefined,
  notice: (line: string) => void,
): Promise<{ readonly checked: readonly CheckedLog[]; readonly faults: readonly LogFault[] }> {
  const checked: CheckedLog[] = [];
  const faults: LogFault[] = [];
  const now = nowSeconds(systemClock);
  for (const { origin, source } of sources) {
    if (only !== undefined && origin !== undefined && origin !== only) continue;
    // A log without entries has no checkpoint yet; one that should have some is missed below.
    if (origin !== undefined && !(await source.read("checkpoint"))) continue;
    const onProgress = progressTo(notice, origin ?? source.name);
    try {
      const log = await checkLog(source, { keysOf, expectedOrigin: origin, onProgress, now });
      if (only === undefined || log.origin === only) checked.push(log);
    } catch (error) {
      if (!isFinding(error)) throw error;
      faults.push(faultOf(origin ?? null, error));
    }
  }
  for (const origin of expected)
    if (only === undefined || only === origin)
      if (![...checked, ...faults].some((log) => log.origin === origin))
        faults.push(faultOf(origin, finding("ERR_LOG_MISSING", `Log ${origin} is not published`)));
  return { checked, faults };
}

function faultOf(origin: string | null, error: Error): LogFault {
  return { origin, code: errorCode(error), message: errorLine(error) };
}

function progressTo(notice: (line: string) => void, name: string) {
  let last = performance.now();
  return (done: number, total: number) => {
    if (performance.now() - last < PROGRESS_MS) return;
    last = performance.now();
    notice(`${name}: ${done} of ${total} entries`);
  };
}

function reportText(checked: readonly CheckedLog[], faults: readonly LogFault[]): string {
  const now = nowSeconds(systemClock);
  const rows = checked.map(({ origin, size, tiles, signedBy, cosignedSeconds, label }) => [
    origin,
    String(size),
    String(tiles),
    label,
    signedBy.length === 0 ? "-" : signedBy.join(", "),
    cosignedSeconds === null ? "-" : `${span(now - cosignedSeconds)} ago`,
  ]);
  const heading = ["LOG", "SIZE", "TILES", "RESULT", "SIGNED BY", "COSIGNED"];
  const lines = faults.map(({ code, message }) => `REFUSED ${code}: ${message}`);
  return [...(rows.length > 0 ? [table([heading, ...rows])] : []), ...lines].join("\n");
}

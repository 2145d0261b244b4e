import { errorCode, Secret, ServiceError, writeDurable } from "@redoubt/base";
import { reporterPublicKey, type ReporterStatement } from "@redoubt/registry";
import { ask, MONITOR, type Answered } from "@redoubt/wire";
import { refuseExisting } from "./ceremony/files.ts";
import { EXIT, fileArgument, type CommandContext } from "./command.ts";
import { readDemo, writeDemo } from "./demo.ts";
import { REGISTRY_LOG } from "./layout.ts";
import { withOperator, type Operator } from "./operator.ts";
import type { Place } from "./running.ts";
import { instant, table } from "./table.ts";
import { lookUntil } from "./wait.ts";

type ReporterStatus = ReporterStatement["status"];

interface ReporterView {
  readonly reporter: string;
  readonly status: ReporterStatus;
  /** When its newest statement was signed, POSIX seconds: since then it has this status, and this secret. */
  readonly since: number;
}

interface ListedReporter extends ReporterView {
  /** POSIX seconds; null where it never reported, undefined where the monitor does not say. */
  readonly lastReport: number | null | undefined;
}

interface Outcome extends ReporterView {
  readonly changed: boolean;
  /** Whether the monitor has read it. Until then it goes by what it knew before. */
  readonly inForce: boolean;
}

interface Issued extends Outcome {
  readonly secret: string;
}

/** Called with the new secret before the registry knows its public key, so that no failure in between can lose it. */
type Keep = (secret: string) => void;

/** docs/spec/logs.md §4. */
const NAME = /^[A-Za-z0-9._-]{1,64}$/;

export interface SecretOptions {
  /** Name of a file that takes the secret; it is not shown then. */
  readonly secretFile?: string;
}

export async function reportersList(context: CommandContext): Promise<number> {
  const reporters = await withOperator(context, listReporters);
  context.terminal.result({ json: reporters, text: listText(reporters) });
  return EXIT.ok;
}

function listText(reporters: readonly ListedReporter[]): string {
  const rows = reporters.map(({ reporter, status, since, lastReport }) => [
    reporter,
    status,
    instant(since),
    lastReport === undefined ? "?" : lastReport === null ? "never" : instant(lastReport),
  ]);
  return table([["REPORTER", "STATUS", "SINCE", "LAST REPORT"], ...rows]);
}

export function reportersAdd(
  context: CommandContext,
  reporter: string,
  options: SecretOptions,
): Promise<number> {
  const { keep, tell } = secretPlace(context, options);
  return withOperator(context, async (operator, place) => {
    const issued = await addReporter(operator, reporter, keep);
    return show(context, place, issued, [`Reporter ${reporter} is registered.`, tell]);
  });
}

export function reportersRotate(
  context: CommandContext,
  reporter: string,
  options: SecretOptions,
): Promise<number> {
  const { keep, tell } = secretPlace(context, options);
  return withOperator(context, async (operator, place) => {
    const issued = await rotateReporter(operator, reporter, keep);
    keepInDemo(operator, issued);
    const what = `Reporter ${reporter} has a new secret; the old one is refused ${from(issued)}.`;
    return show(context, place, issued, [what, tell]);
  });
}

/** What a person and a program are told of a new secret. */
type Tell = (secret: string) => { readonly json: object; readonly text: string };

/**
 * The file is checked and written before the registry knows the key: a failure in between leaves a secret without use.
 */
function secretPlace(
  context: CommandContext,
  { secretFile }: SecretOptions,
): { readonly keep: Keep; readonly tell: Tell } {
  const kept = "the registry keeps only the public key that is made of it.";
  if (secretFile === undefined)
    return {
      keep: () => undefined,
      tell: (secret) => ({
        json: { secret },
        text: `secret: ${secret}\nIt is shown this once; ${kept}`,
      }),
    };
  const file = fileArgument(context, secretFile);
  refuseExisting(file);
  const tell = () => ({ json: { secretFile: file }, text: `secret: in ${file}; ${kept}` });
  return { keep: (secret) => writeSecret(file, secret), tell };
}

function writeSecret(path: string, secret: string): void {
  try {
    writeDurable(path, secret);
  } catch (cause) {
    throw new ServiceError("ERR_OPTION", `${path} cannot be written (${errorCode(cause)})`, {
      cause,
    });
  }
}

/**
 * `verify --report` and the drills are reporters, too: their secrets are kept in the data folder, so a new one goes
 * there.
 */
function keepInDemo({ folder }: Operator, { reporter, secret }: Issued): void {
  const demo = readDemo(folder);
  if (!demo.reporters.some((one) => one.reporter === reporter)) return;
  const reporters = demo.reporters.map((one) =>
    one.reporter === reporter ? { reporter, secret } : one,
  );
  writeDemo(folder, { ...demo, reporters });
}

function show(
  context: CommandContext,
  { settings }: Place,
  { secret, ...issued }: Issued,
  [what, tell]: readonly [what: string, tell: Tell],
): number {
  const url = settings.reports;
  const told = tell(secret);
  const text = [
    what,
    "",
    told.text,
    "",
    "Where it goes, in the service that verifies tokens (@redoubt/verify):",
    "createReportQueue({",
    `  url: "${url}",`,
    `  reporter: "${issued.reporter}",`,
    "  secret,",
    `  ackKey: "${settings.ack}",`,
    "  onAlarm,",
    "})",
  ];
  context.terminal.result({
    json: { ...issued, ...told.json, url, ackKey: settings.ack },
    text: text.join("\n"),
  });
  noteUnread(context, issued);
  return EXIT.ok;
}

export async function reportersDisable(context: CommandContext, reporter: string): Promise<number> {
  const outcome = await withOperator(context, (operator) => disableReporter(operator, reporter));
  const text = outcome.changed
    ? `Reporter ${reporter} is disabled: its secret is refused ${from(outcome)}, and nobody waits for its reports.`
    : `Reporter ${reporter} is disabled already, since ${instant(outcome.since)}: nothing to do.`;
  context.terminal.result({ json: outcome, text });
  noteUnread(context, outcome);
  return EXIT.ok;
}

function from({ inForce }: Outcome): string {
  return inForce ? "from now on" : "once the monitor has read it";
}

function noteUnread({ terminal }: CommandContext, { inForce }: Outcome): void {
  if (!inForce)
    terminal.notice(
      "The monitor has not read this yet, and goes by what it knew before until it does: redoubt status says why",
    );
}

/** @throws ServiceError `ERR_OPTION` for a name that is there, whatever its status */
export async function addReporter(
  operator: Operator,
  reporter: string,
  keep: Keep,
): Promise<Issued> {
  if (!NAME.test(reporter))
    throw new ServiceError(
      "ERR_OPTION",
      "A reporter's name has at most 64 letters, digits, dots, underscores and hyphens",
    );
  const known = (await operator.readRegistry()).reporters.get(reporter);
  if (known)
    throw new ServiceError(
      "ERR_OPTION",
      `Reporter ${reporter} is there already (${known.status}): for a new secret, redoubt reporters rotate ${reporter}`,
    );
  return giveSecret(operator, reporter, keep);
}

/** The old secret ends at once; a disabled reporter is active again. */
export async function rotateReporter(
  operator: Operator,
  reporter: string,
  keep: Keep,
): Promise<Issued> {
  await findReporter(operator, reporter);
  return giveSecret(operator, reporter, keep);
}

async function giveSecret(operator: Operator, reporter: string, keep: Keep): Promise<Issued> {
  const secret = Secret.random().reveal();
  keep(secret);
  const publicKey = reporterPublicKey(secret);
  return { ...(await state(operator, { reporter, publicKey, status: "active" })), secret };
}

export async function disableReporter(operator: Operator, reporter: string): Promise<Outcome> {
  const known = await findReporter(operator, reporter);
  if (known.status === "disabled")
    return { ...viewOf(known), changed: false, inForce: await isRead(operator) };
  const { publicKey } = known;
  return await state(operator, { reporter, publicKey, status: "disabled" });
}

async function findReporter(operator: Operator, reporter: string): Promise<ReporterStatement> {
  const known = (await operator.readRegistry()).reporters.get(reporter);
  if (known) return known;
  throw new ServiceError(
    "ERR_REPORTER_UNKNOWN",
    "No such reporter is registered: redoubt reporters list shows them",
  );
}

async function state(
  operator: Operator,
  body: Pick<ReporterStatement, "reporter" | "publicKey" | "status">,
): Promise<Outcome> {
  await operator.state({ type: "reporter", ...body });
  const stated = await findReporter(operator, body.reporter);
  return { ...viewOf(stated), changed: true, inForce: await isRead(operator) };
}

function viewOf({ reporter, status, at }: ReporterStatement): ReporterView {
  return { reporter, status, since: at };
}

export async function listReporters(operator: Operator): Promise<ListedReporter[]> {
  const registry = await operator.readRegistry();
  const last = await lastReports(operator);
  return [...registry.reporters.values()].map((statement) => ({
    ...viewOf(statement),
    lastReport: last && (last.get(statement.reporter) ?? null),
  }));
}

/** By name, in POSIX seconds; undefined if the monitor does not answer. The list is shown without it then. */
async function lastReports(operator: Operator): Promise<ReadonlyMap<string, number> | undefined> {
  const status = await askStatus(operator);
  if (!status) return undefined;
  return new Map(
    (status.reporters ?? []).flatMap(({ reporter, lastReport }) =>
      lastReport === null ? [] : [[reporter, lastReport]],
    ),
  );
}

const PATIENCE = { timeoutMs: 5000, pollMs: 100 };

/** Whether the monitor has read the registry as far as this operator, within some seconds; it reads twice a second. */
async function isRead(operator: Operator): Promise<boolean> {
  const readBy = (status: Answered<typeof MONITOR.status> | undefined): boolean =>
    (status?.logs?.find(({ log }) => log === REGISTRY_LOG)?.size ?? -1) >= operator.registry.size;
  return readBy(
    await lookUntil(
      () => askStatus(operator),
      (status) => !status || readBy(status),
      PATIENCE,
    ),
  );
}

async function askStatus(operator: Operator): Promise<Answered<typeof MONITOR.status> | undefined> {
  try {
    return await ask(operator.client("monitor"), MONITOR.status, {});
  } catch {
    return undefined;
  }
}

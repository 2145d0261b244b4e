import { ServiceError, errorCode, writeDurable } from "@redoubt/base";
import { refuseExisting } from "../ceremony/files.ts";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { readDemo, writeDemo } from "../demo.ts";
import { withOperator, type Operator } from "../operator.ts";
import type { Place } from "../running.ts";
import { instant, table } from "../table.ts";
import {
  addReporter,
  disableReporter,
  listReporters,
  rotateReporter,
  type Issued,
  type Keep,
  type ListedReporter,
  type Outcome,
} from "./reporters.ts";

export interface SecretOptions {
  /** Name of a file that takes the secret; it is not shown then. */
  readonly secretFile?: string;
}

export async function reportersList(context: CommandContext): Promise<number> {
  const reporters = await withOperator(context, (operator) => listReporters(operator));
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
  return withOperator(context, async (operator, place) => {
    const issued = await addReporter(operator, reporter, keeper(context, options));
    show(context, { issued, place, options, what: `Reporter ${reporter} is registered.` });
    return EXIT.ok;
  });
}

export function reportersRotate(
  context: CommandContext,
  reporter: string,
  options: SecretOptions,
): Promise<number> {
  return withOperator(context, async (operator, place) => {
    const issued = await rotateReporter(operator, reporter, keeper(context, options));
    keepInDemo(operator, issued);
    const what = `Reporter ${reporter} has a new secret; the old one is refused ${from(issued)}.`;
    show(context, { issued, place, options, what });
    return EXIT.ok;
  });
}

/** Checked before anything is stated, written before it: what fails in between leaves a secret too many, not too few. */
function keeper(context: CommandContext, { secretFile }: SecretOptions): Keep {
  if (secretFile === undefined) return () => undefined;
  const path = fileArgument(context, secretFile);
  refuseExisting(path);
  return (secret) => {
    try {
      writeDurable(path, secret);
    } catch (cause) {
      throw new ServiceError("ERR_OPTION", `${path} cannot be written (${errorCode(cause)})`, {
        cause,
      });
    }
  };
}

/** `verify --report` and the drills report themselves, with the secrets that were made with the data folder. */
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
  {
    issued: { secret, ...issued },
    place: { ports, settings },
    options: { secretFile },
    what,
  }: {
    readonly issued: Issued;
    readonly place: Place;
    readonly options: SecretOptions;
    readonly what: string;
  },
): void {
  const { reporter } = issued;
  const url = `http://127.0.0.1:${ports.monitor}`;
  const file = secretFile === undefined ? undefined : fileArgument(context, secretFile);
  const shown = file === undefined ? { secret } : { secretFile: file };
  const text = [
    what,
    "",
    file === undefined
      ? `secret: ${secret}\nIt is shown this once; the registry keeps only the public key that is made of it.`
      : `secret: in ${file}; the registry keeps only the public key that is made of it.`,
    "",
    "Where it goes, in the service that verifies tokens (@redoubt/verify):",
    "createReportQueue({",
    `  url: "${url}",`,
    `  reporter: "${reporter}",`,
    "  secret,",
    `  ackKey: "${settings.ack}",`,
    "  onAlarm,",
    "})",
  ];
  context.terminal.result({
    json: { ...issued, ...shown, url, ackKey: settings.ack },
    text: text.join("\n"),
  });
  noteUnread(context, issued);
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

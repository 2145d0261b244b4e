import { setTimeout as pause } from "node:timers/promises";
import { Secret, ServiceError } from "@redoubt/base";
import { reporterPublicKey, type ReporterStatement } from "@redoubt/registry";
import { REGISTRY_LOG } from "../layout.ts";
import { ask, MONITOR, type Answered } from "@redoubt/wire";
import type { Operator } from "../operator.ts";

export type ReporterStatus = ReporterStatement["status"];

export interface ReporterView {
  readonly reporter: string;
  readonly status: ReporterStatus;
  /** When its newest statement was signed, POSIX seconds: since then it has this status, and this secret. */
  readonly since: number;
}

export interface ListedReporter extends ReporterView {
  /** POSIX seconds; null where it never reported, undefined where the monitor does not say. */
  readonly lastReport: number | null | undefined;
}

export interface Outcome extends ReporterView {
  readonly changed: boolean;
  /** The monitor has read it. Until then it goes by what it knew before. */
  readonly inForce: boolean;
}

export interface Issued extends Outcome {
  readonly secret: string;
}

/** Called with the new secret before the registry knows its public key, so that no failure in between can lose it. */
export type Keep = (secret: string) => void;

/** docs/spec/logs.md §4. */
const NAME = /^[A-Za-z0-9._-]{1,64}$/;

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

/** By name; undefined where the monitor does not answer: the registry's word is worth showing without it. */
async function lastReports(operator: Operator): Promise<ReadonlyMap<string, number> | undefined> {
  const status = await askStatus(operator);
  if (!status) return undefined;
  return new Map(
    (status.reporters ?? []).flatMap(({ reporter, lastReport }) =>
      lastReport === null ? [] : [[reporter, lastReport]],
    ),
  );
}

const PATIENCE_MS = 5000;
const POLL_MS = 100;

/** Whether the monitor has read the registry as far as this operator, within some seconds; it reads twice a second. */
async function isRead(operator: Operator): Promise<boolean> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const status = await askStatus(operator);
    if (!status) return false;
    const read = status.logs?.find(({ log }) => log === REGISTRY_LOG)?.size ?? -1;
    if (read >= operator.registry.size) return true;
    if (performance.now() > deadline) return false;
    await pause(POLL_MS);
  }
}

async function askStatus(operator: Operator): Promise<Answered<typeof MONITOR.status> | undefined> {
  try {
    return await ask(operator.client("monitor"), MONITOR.status, {});
  } catch {
    return undefined;
  }
}

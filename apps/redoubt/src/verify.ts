import { setTimeout as pause } from "node:timers/promises";
import { ServiceError } from "@redoubt/base";
import {
  createReportQueue,
  createVerifier,
  fromDiscovery,
  TokenError,
  type ReportQueue,
  type VerifiedToken,
} from "@redoubt/verify";
import { EXIT, type CommandContext } from "./command.ts";
import { readDemo, type Demo } from "./demo.ts";
import { atTenant, CONSUMER_TENANT, DEFAULT_REALM, onLoopback, type Realm } from "./layout.ts";
import { isListening, notRunning, openPlace, type Place } from "./running.ts";
import type { Addresses } from "./settings.ts";
import { asciiJson } from "./table.ts";

export interface VerifyOptions {
  readonly realm?: Realm;
  readonly audience?: readonly string[];
  readonly tenant?: string;
  readonly issuer?: string;
  readonly report?: boolean;
}

/** What is accepted. It comes from options and configuration alone, and nothing of it from the token (P7). */
export interface Acceptance {
  readonly realm: Realm;
  readonly template: string;
  /** Where the keys are loaded from; every issuer of a realm lists those that cover its tenant. */
  readonly issuer: string;
  readonly tenants: "any" | readonly string[];
  readonly audience: readonly string[];
}

export type Verdict =
  | {
      readonly valid: true;
      readonly claims: VerifiedToken["payload"];
      readonly header: VerifiedToken["protectedHeader"];
      readonly key: VerifiedToken["key"];
      readonly tenant: string | null;
      readonly digest: string;
      readonly reported: boolean;
      /** If it was reported: how long ago, by the monitor's own word, it had read every log to its end. */
      readonly auditAgeSeconds?: number;
    }
  | {
      readonly valid: false;
      readonly code: string;
      readonly message: string;
      readonly part?: string;
    };

export async function verify(
  { folder, terminal }: CommandContext,
  argument: string,
  options: VerifyOptions,
): Promise<number> {
  const token = await readTokenArgument(argument, process.stdin);
  const verdict = await verifyToken(folder, token, options);
  terminal.result({ json: verdict, text: verdictText(verdict) });
  return verdict.valid ? EXIT.ok : EXIT.refused;
}

export async function verifyToken(
  folder: string,
  token: string,
  options: VerifyOptions,
): Promise<Verdict> {
  const place = openPlace(folder);
  const demo = readDemo(folder);
  const accept = chooseAcceptance(options, place.settings.realms, demo);
  if (!(await isListening(place.ports.publisher))) throw notRunning(folder);
  if (options.report !== true) return decide(token, accept, place, undefined);
  const problems: string[] = [];
  const reports = openReports(place, demo, (problem) => problems.push(problem));
  try {
    const verdict = await decide(token, accept, place, reports);
    if (!verdict.valid) return verdict;
    return { ...verdict, auditAgeSeconds: await acknowledged(reports, problems) };
  } finally {
    await reports.close();
  }
}

export function chooseAcceptance(
  { realm = DEFAULT_REALM, audience = [], tenant, issuer }: VerifyOptions,
  realms: Addresses["realms"],
  { clients }: Demo,
): Acceptance {
  const template = realms[realm].issuer;
  const named = issuer === undefined ? tenant : tenantOf(issuer, template);
  if (tenant !== undefined && named !== tenant)
    throw new ServiceError("ERR_OPTION", "--issuer and --tenant name two tenants");
  const demo = clients.find((client) => client.realm === realm);
  const loadedFor = named ?? demo?.tenant;
  const audiences = audience.length > 0 ? audience : demo ? [demo.audience] : [];
  if (loadedFor === undefined || audiences.length === 0)
    throw new ServiceError("ERR_OPTION", "Name --audience, and --tenant or --issuer");
  return {
    realm,
    template,
    issuer: atTenant(template, loadedFor),
    tenants: named === undefined ? "any" : [named],
    audience: audiences,
  };
}

function tenantOf(issuer: string, template: string): string {
  const [before = "", after] = template.split("{tenantid}");
  if (after === undefined && issuer === template) return CONSUMER_TENANT;
  const tenant = issuer.slice(before.length, issuer.length - (after ?? "").length);
  if (
    after === undefined ||
    `${before}${tenant}${after}` !== issuer ||
    !/^[0-9a-f-]{36}$/.test(tenant)
  )
    throw new ServiceError("ERR_OPTION", `--issuer must be like ${template}`);
  return tenant;
}

async function decide(
  token: string,
  accept: Acceptance,
  { settings, ports }: Place,
  reporter: ReportQueue | undefined,
): Promise<Verdict> {
  const { realm, template, issuer, tenants, audience } = accept;
  await using verifier = await createVerifier({
    trust: fromDiscovery({
      issuers: [{ issuer, realm, ring: settings.realms[realm].ring }],
      allowLoopbackHttp: true,
      fetch: (input, init) =>
        fetch(
          onLoopback(String(input instanceof Request ? input.url : input), ports.publisher),
          init,
        ),
    }),
    audience,
    accept: [{ issuer: template, realm, tenants }],
    issuance: reporter ? { mode: "audit", reporter } : "off",
  });
  try {
    const { payload, protectedHeader, key, tenantId, digest } = verifier.verify(token);
    return {
      valid: true,
      claims: payload,
      header: protectedHeader,
      key,
      tenant: tenantId,
      digest,
      reported: reporter !== undefined,
    };
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    const { code, message, part } = error;
    return { valid: false, code, message, ...(part === undefined ? {} : { part }) };
  }
}

function openReports(
  { ports, settings }: Place,
  { reporters }: Demo,
  onProblem: (problem: string) => void,
): ReportQueue {
  const credential = reporters.find(({ reporter }) => reporter === "demo-api");
  if (!credential) throw new ServiceError("ERR_OPTION", "No reporter demo-api is set up here");
  return createReportQueue({
    url: `http://127.0.0.1:${ports.monitor}`,
    ...credential,
    ackKey: settings.ack,
    onAlarm: ({ kind, status }) =>
      onProblem(status === undefined ? kind : `${kind}, status ${status}`),
  });
}

const ATTEMPTS = 5;
const PAUSE_MS = 500;

async function acknowledged(reports: ReportQueue, problems: readonly string[]): Promise<number> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    await reports.flush();
    const { pending, auditAgeSeconds } = reports.status();
    if (pending === 0 && auditAgeSeconds !== null) return auditAgeSeconds;
    await pause(PAUSE_MS);
  }
  throw new ServiceError(
    "ERR_REPORT",
    `Monitor did not acknowledge the report (${problems.join("; ") || "no answer"}): see redoubt status`,
  );
}

export function verdictText(verdict: Verdict): string {
  if (!verdict.valid) return `REFUSED ${verdict.code}: ${verdict.message}`;
  const { key, tenant, digest, auditAgeSeconds } = verdict;
  return [
    asciiJson(verdict.claims),
    `valid: realm ${key.realm}, tenant ${tenant}, key ${key.kid} (${key.alg})`,
    `digest: ${digest}${auditAgeSeconds === undefined ? "" : `, reported and ${acknowledgement(auditAgeSeconds)}`}`,
  ].join("\n");
}

/** P4: the audit notices a forgery within the minute only while it reads the logs. */
const AUDITED_WITHIN_SECONDS = 30;

function acknowledgement(auditAgeSeconds: number): string {
  return auditAgeSeconds < AUDITED_WITHIN_SECONDS
    ? "acknowledged"
    : `taken, but NOT AUDITED: the monitor has not read the logs for ${auditAgeSeconds} s, see redoubt status`;
}

const MAX_INPUT = 64 * 1024;

/** Reads the token from the command line or from stdin, bounded: another program may write to stdin. */
export async function readTokenArgument(
  argument: string,
  stdin: AsyncIterable<Uint8Array | string> & { readonly isTTY?: boolean },
): Promise<string> {
  if (argument !== "-") return argument.trim();
  const problem = "No token: give it as the argument, or on stdin: redoubt token | redoubt verify";
  if (stdin.isTTY === true) throw new ServiceError("ERR_OPTION", problem);
  let text = "";
  for await (const chunk of stdin) {
    text += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("latin1");
    if (text.length > MAX_INPUT)
      throw new ServiceError("ERR_OPTION", "Input is larger than any token");
  }
  if (text.trim() === "") throw new ServiceError("ERR_OPTION", problem);
  return text.trim();
}

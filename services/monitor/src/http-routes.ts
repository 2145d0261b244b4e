import type { IncomingHttpHeaders } from "node:http";
import type { ReporterStatement } from "@redoubt/keys";
import { authenticate } from "./reports/credentials.ts";
import { MAX_REPORT_BYTES } from "./reports/report-format.ts";
import type { ReportAnswer, Reports } from "./reports/reports.ts";
import type { Witness } from "./witness/witness.ts";

export interface HttpCall {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Undefined when the body is longer. */
  readonly readBody: (maxBytes: number) => Promise<Buffer | undefined>;
}

export interface HttpReply {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Route = (call: HttpCall) => Promise<HttpReply>;

export interface RouteParts {
  readonly witness: Witness;
  readonly reports: Reports;
  readonly reporters: ReadonlyMap<string, ReporterStatement>;
  /** The witness's verifier key. */
  readonly vkey: string;
  /** The registry was read: it is known which logs and reporters there are. */
  readonly isReady: () => boolean;
  /** Why the audit cannot be relied on now. */
  readonly problem: () => string | undefined;
  /** Reads the registry again when a log is not known yet. */
  readonly lookAgain: () => Promise<void>;
}

/** A proof of 63 hashes, and a checkpoint with a handful of signatures. */
const MAX_CHECKPOINT_BYTES = 16 * 1024;
/** docs/spec/wire.md §5: the SHA-256 of the log's origin. */
const CHECKPOINT_PATH = /^\/([0-9a-f]{64})\/checkpoint$/;
const NOT_READY: HttpReply = {
  status: 503,
  body: "Not ready\n",
  headers: { "retry-after": "1" },
};
const TOO_LARGE: HttpReply = { status: 413, body: "Too large\n" };

export function monitorRoutes(parts: RouteParts): Route {
  const routes = new Map<string, readonly [method: string, route: Route]>([
    ["/add-checkpoint", ["POST", (call) => addCheckpoint(parts, call)]],
    ["/reports", ["POST", (call) => reporterCall(parts, call, "report")]],
    ["/evidence", ["POST", (call) => reporterCall(parts, call, "evidence")]],
    ["/vkey", ["GET", async () => ({ status: 200, body: `${parts.vkey}\n` })]],
    ["/health", ["GET", async () => health(parts)]],
  ]);
  return async (call) => {
    const [, originHash] = CHECKPOINT_PATH.exec(call.path) ?? [];
    const found =
      originHash === undefined
        ? routes.get(call.path)
        : (["GET", async () => newestCheckpoint(parts, originHash)] as const);
    if (!found) return { status: 404, body: "Not found\n" };
    const [method, route] = found;
    if (call.method === method) return route(call);
    return { status: 405, body: "Method not allowed\n", headers: { allow: method } };
  };
}

function newestCheckpoint({ witness }: RouteParts, originHash: string): HttpReply {
  const body = witness.newest(originHash);
  return body === undefined ? { status: 404, body: "Not cosigned\n" } : { status: 200, body };
}

async function addCheckpoint(parts: RouteParts, call: HttpCall): Promise<HttpReply> {
  const body = await call.readBody(MAX_CHECKPOINT_BYTES);
  if (!body) return TOO_LARGE;
  const answer = parts.witness.addCheckpoint(body);
  if (answer.status !== 404) return answer;
  // A log that was registered a moment ago: the registry may not have been read since.
  if (!parts.isReady()) return NOT_READY;
  await parts.lookAgain();
  return parts.witness.addCheckpoint(body);
}

async function reporterCall(
  { reports, reporters, isReady }: RouteParts,
  call: HttpCall,
  what: "report" | "evidence",
): Promise<HttpReply> {
  // Before the registry is read every reporter would look like an impostor.
  if (!isReady()) return NOT_READY;
  const reporter = authenticate(call.headers.authorization, reporters);
  if (reporter === undefined)
    return problem(401, { code: "ERR_MONITOR_CREDENTIAL" }, { "www-authenticate": "Basic" });
  if (!/^application\/json(?:;|$)/i.test(call.headers["content-type"] ?? ""))
    return problem(415, { code: "ERR_MONITOR_CONTENT_TYPE" });
  const body = await call.readBody(MAX_REPORT_BYTES);
  if (!body) return TOO_LARGE;
  return replyOf(await reports[what](reporter, body));
}

function replyOf({ status, body, retryAfterSeconds }: ReportAnswer): HttpReply {
  if (status === 200)
    return { status, body: JSON.stringify(body), contentType: "application/json" };
  const headers = {
    ...(retryAfterSeconds !== undefined && { "retry-after": String(retryAfterSeconds) }),
  };
  return problem(status, body, headers);
}

/** RFC 9457. */
function problem(
  status: number,
  members: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>> = {},
): HttpReply {
  const body = JSON.stringify({ status, ...members });
  return { status, body, contentType: "application/problem+json", headers };
}

function health(parts: RouteParts): HttpReply {
  const reason = parts.problem();
  return {
    status: reason === undefined ? 200 : 503,
    body: JSON.stringify(reason === undefined ? { status: "ok" } : { status: "blind", reason }),
    contentType: "application/json",
  };
}

import { hash } from "node:crypto";
import type { Admission, HttpAnswer, HttpOptions, HttpRequest, RequestHead } from "@redoubt/http";
import type { ReporterStatement } from "@redoubt/registry";
import {
  ACCEPT_SIGNATURE,
  authenticate,
  MAX_CLOCK_DIFFERENCE_SECONDS,
  type Signed,
} from "../joins/reports/credentials.ts";
import { MAX_REPORT_BYTES } from "../joins/reports/report-format.ts";
import type { ReportAnswer, Reports } from "../joins/reports/reports.ts";
import type { Witness } from "../witness/witness.ts";

export interface RouteParts {
  readonly witness: Witness;
  readonly reports: Reports;
  readonly reporters: ReadonlyMap<string, ReporterStatement>;
  readonly nowSeconds: () => number;
  /** The witness's verifier key. */
  readonly vkey: string;
  /** The registry was read: it is known which logs and reporters there are. */
  readonly isReady: () => boolean;
  /** Why the audit cannot be relied on now. */
  readonly failure: () => string | undefined;
  /** Reads the registry again when a log is not known yet. */
  readonly lookAgain: () => Promise<void>;
}

/** A proof of 63 hashes, and a checkpoint with a handful of signatures. */
const MAX_CHECKPOINT_BYTES = 16 * 1024;
/** docs/spec/wire.md §5: the SHA-256 of the log's origin. */
const CHECKPOINT_PATH = /^\/([0-9a-f]{64})\/checkpoint$/;
const TEXT = "text/plain; charset=utf-8";

type Answer = HttpAnswer | Promise<HttpAnswer>;

interface Route {
  readonly method: "GET" | "POST";
  readonly admit: (head: RequestHead) => Admission;
  readonly answer: (request: HttpRequest) => Answer;
}

/** The answer to every request while the disk is full. */
export function noRoomAnswer({ path }: Pick<RequestHead, "path">, reason: string): HttpAnswer {
  const code = "ERR_MONITOR_DISK_FULL";
  if (path !== "/health") return problemAnswer(503, { code }, ["retry-after", "5"]);
  return answerOf(503, "application/json", JSON.stringify({ status: "full", reason }));
}

/** What the monitor serves; a reporter is known by the headers, before a byte of the body is read (THREAT-36). */
export function monitorRoutes(parts: RouteParts): Required<Pick<HttpOptions, "admit" | "handler">> {
  const routes = routesOf(parts);
  const routeOf = ({ path }: RequestHead): Route | undefined => {
    const [, originHash] = CHECKPOINT_PATH.exec(path) ?? [];
    return originHash === undefined
      ? routes.get(path)
      : reading(() => newestCheckpoint(parts, originHash));
  };
  return {
    admit: (head) => {
      const route = routeOf(head);
      if (!route) return text(404, "Not found\n");
      if (head.method === route.method) return route.admit(head);
      return text(405, "Method not allowed\n", ["allow", route.method]);
    },
    handler: (request) => routeOf(request)?.answer(request) ?? text(404, "Not found\n"),
  };
}

function routesOf(parts: RouteParts): ReadonlyMap<string, Route> {
  const addCheckpointRoute: Route = {
    method: "POST",
    admit: () => MAX_CHECKPOINT_BYTES,
    answer: (request) => addCheckpoint(parts, request),
  };
  return new Map([
    ["/add-checkpoint", addCheckpointRoute],
    ["/reports", reporterRoute(parts, "report")],
    ["/evidence", reporterRoute(parts, "evidence")],
    ["/vkey", reading(() => text(200, `${parts.vkey}\n`))],
    ["/health", reading(() => health(parts))],
  ]);
}

function reading(answer: () => HttpAnswer): Route {
  return { method: "GET", admit: () => 0, answer };
}

function newestCheckpoint({ witness }: RouteParts, originHash: string): HttpAnswer {
  const body = witness.newest(originHash);
  return body === undefined ? text(404, "Not cosigned\n") : text(200, body);
}

async function addCheckpoint(
  { witness, isReady, lookAgain }: RouteParts,
  { body, promote }: HttpRequest,
): Promise<HttpAnswer> {
  let answer = witness.addCheckpoint(body);
  if (answer.status === 404) {
    // A log that was registered a moment ago: the registry may not have been read since.
    if (!isReady()) return notReady();
    await lookAgain();
    answer = witness.addCheckpoint(body);
  }
  if (answer.isNews === true) promote("ledger");
  return answerOf(answer.status, answer.contentType ?? TEXT, answer.body);
}

function reporterRoute(parts: RouteParts, what: "report" | "evidence"): Route {
  return {
    method: "POST",
    admit: (head) => {
      const signed = signedBy(parts, head);
      if ("status" in signed) return signed;
      head.promote(`reporter:${signed.reporter}`);
      return MAX_REPORT_BYTES;
    },
    answer: async (request) => {
      // Checked again: while the body came in, the reporter may have been disabled or given another key.
      const signed = signedBy(parts, request);
      if ("status" in signed) return signed;
      // RFC 9530 §2. Somebody on the way may have changed the body: the reporter is not charged for it.
      if (hash("sha256", request.body, "base64") !== signed.sha256)
        return problemAnswer(400, { code: "ERR_MONITOR_CONTENT_DIGEST" });
      return reportAnswer(await parts.reports[what](signed.reporter, request.body));
    },
  };
}

/** Who signed the headers, or why the request is refused. */
function signedBy(
  { isReady, reporters, nowSeconds }: RouteParts,
  head: RequestHead,
): Signed | HttpAnswer {
  // Before the registry is read every reporter would look like an impostor.
  if (!isReady()) return notReady();
  const signed = authenticate(head, reporters);
  if (signed === undefined) return unsigned("ERR_MONITOR_CREDENTIAL");
  // Said only to a known reporter, whose operator learns that the clocks differ. A stranger learns nothing.
  if (Math.abs(nowSeconds() - signed.createdSeconds) > MAX_CLOCK_DIFFERENCE_SECONDS)
    return unsigned("ERR_MONITOR_SIGNATURE_TIME");
  if (!/^application\/json(?:;|$)/i.test(head.headers["content-type"] ?? ""))
    return problemAnswer(415, { code: "ERR_MONITOR_CONTENT_TYPE" });
  return signed;
}

/**
 * RFC 9110 §15.5.2 wants a challenge, but no authentication scheme is registered for signed messages, and any other
 * would ask for a secret: RFC 9421 §5 says what is wanted instead.
 */
function unsigned(code: string): HttpAnswer {
  return problemAnswer(401, { code }, ["accept-signature", ACCEPT_SIGNATURE]);
}

function reportAnswer({ status, body, retryAfterSeconds }: ReportAnswer): HttpAnswer {
  if (status === 200) return answerOf(status, "application/json", JSON.stringify(body));
  const retry = retryAfterSeconds === undefined ? [] : ["retry-after", String(retryAfterSeconds)];
  return problemAnswer(status, body, retry);
}

function notReady(): HttpAnswer {
  return text(503, "Not ready\n", ["retry-after", "1"]);
}

function health(parts: RouteParts): HttpAnswer {
  const reason = parts.failure();
  const isWell = reason === undefined;
  const body = JSON.stringify(isWell ? { status: "ok" } : { status: "blind", reason });
  return answerOf(isWell ? 200 : 503, "application/json", body);
}

/** RFC 9457. */
function problemAnswer(
  status: number,
  members: Readonly<Record<string, unknown>>,
  headers: readonly string[] = [],
): HttpAnswer {
  const body = JSON.stringify({ status, ...members });
  return answerOf(status, "application/problem+json", body, headers);
}

function text(status: number, body: string, headers: readonly string[] = []): HttpAnswer {
  return answerOf(status, TEXT, body, headers);
}

function answerOf(
  status: number,
  contentType: string,
  body: string,
  headers: readonly string[] = [],
): HttpAnswer {
  const common = ["cache-control", "no-store", "x-content-type-options", "nosniff"];
  return { status, headers: ["content-type", contentType, ...common, ...headers], body };
}

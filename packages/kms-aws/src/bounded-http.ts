import { Agent, request as requestHttp, type ClientRequest, type IncomingMessage } from "node:http";
import { Agent as SecureAgent, request as requestHttps } from "node:https";
import { errorCode } from "@redoubt/base";
import { RequestFailure } from "./failures.ts";

/** What the SDK hands over for one request; all of it is ours or the SDK's. */
export interface SdkRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export interface SdkResponse {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

/** The largest answer that is asked for, 100 aliases of 256 characters each, has some 90 kB. */
const MAX_ANSWER_BYTES = 256 * 1024;
const MAX_HEADER_BYTES = 16 * 1024;
const ANSWER_TYPE = "application/x-amz-json-1.1";
const TOO_MANY_REQUESTS = 429;

/**
 * Requests to one origin, whatever the SDK would resolve. THREAT-26: whoever answers for KMS gets a bounded size, and
 * until the signal aborts for the last byte; the SDK's own handler bounds neither. Redirects are not followed.
 */
export class BoundedHttp {
  readonly #endpoint: URL;
  readonly #agent: Agent;

  constructor(endpoint: URL, maxSockets: number) {
    this.#endpoint = endpoint;
    const agentOptions = { keepAlive: true, maxSockets };
    this.#agent = isPlain(endpoint) ? new Agent(agentOptions) : new SecureAgent(agentOptions);
  }

  /** Ends what is under way, too. */
  close(): void {
    this.#agent.destroy();
  }

  /** @throws RequestFailure */
  async send(request: SdkRequest, signal: AbortSignal): Promise<SdkResponse> {
    const { promise, resolve, reject } = Promise.withResolvers<RawAnswer>();
    const sent = this.#start(request);
    const fail = (failure: RequestFailure) => {
      reject(failure);
      sent.destroy();
    };
    const abort = () => fail(new RequestFailure("transient", "Request was given up"));
    signal.addEventListener("abort", abort, { once: true });
    sent.once("response", (incoming) => readAnswer(incoming, resolve, fail));
    sent.on("error", (error) => fail(connectionFailure(error)));
    // Without an error when the answer ends in the middle: nothing of it is used.
    sent.once("close", () => reject(new RequestFailure("transient", "Connection ended early")));
    try {
      sent.end(bodyOf(request));
      if (signal.aborted) abort();
      return checkAnswer(await promise);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  #start({ method, path, headers }: SdkRequest): ClientRequest {
    const endpoint = this.#endpoint;
    const start = isPlain(endpoint) ? requestHttp : requestHttps;
    return start({
      agent: this.#agent,
      host: endpoint.hostname.replaceAll(/^\[|\]$/g, ""),
      port: endpoint.port,
      method,
      path,
      headers,
      maxHeaderSize: MAX_HEADER_BYTES,
    });
  }
}

function isPlain({ protocol }: URL): boolean {
  return protocol === "http:";
}

function bodyOf({ body }: SdkRequest): string | Uint8Array {
  if (typeof body === "string" || body instanceof Uint8Array) return body;
  throw new TypeError("Request to AWS KMS has no body of bytes");
}

interface RawAnswer {
  readonly incoming: IncomingMessage;
  readonly body: Buffer;
}

function readAnswer(
  incoming: IncomingMessage,
  done: (answer: RawAnswer) => void,
  fail: (failure: RequestFailure) => void,
): void {
  const chunks: Buffer[] = [];
  let size = 0;
  incoming.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES)
      fail(new RequestFailure("answer", `Answer is longer than ${MAX_ANSWER_BYTES} bytes`));
    else chunks.push(chunk);
  });
  incoming.on("error", (error) => fail(connectionFailure(error)));
  // Of a whole answer only: one that breaks off has an error in its place.
  incoming.once("end", () => done({ incoming, body: Buffer.concat(chunks) }));
}

/** Whatever stands between us and KMS may answer too: only what has the form of KMS reaches the SDK. */
function checkAnswer({ incoming, body }: RawAnswer): SdkResponse {
  const { statusCode = 0, headers } = incoming;
  const isForm = headers["content-type"] === ANSWER_TYPE;
  if (isForm) return { statusCode, headers: { "content-type": ANSWER_TYPE }, body };
  const message = `HTTP status ${statusCode} without an answer of AWS KMS`;
  if (statusCode === TOO_MANY_REQUESTS) throw new RequestFailure("throttled", message);
  throw new RequestFailure(statusCode >= 500 ? "transient" : "answer", message);
}

function connectionFailure(error: unknown): RequestFailure {
  return new RequestFailure("transient", `Connection to AWS KMS failed: ${errorCode(error)}`);
}

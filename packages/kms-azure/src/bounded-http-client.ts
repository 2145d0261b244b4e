import { request as httpsRequest, type Agent } from "node:https";
import type { IncomingMessage } from "node:http";
import { KeyError } from "@redoubt/keys";
import { AttemptTimeout } from "@redoubt/custody/call-gate";
import { HttpFailure, unexpected, Unreachable } from "./failure.ts";
import { isRecord } from "./sdk.ts";

/** A page of 25 keys with every tag that Azure allows is a quarter of this. */
const MAX_ANSWER_BYTES = 1 << 20;

/** The SDK's request, as far as this client reads it. */
export interface SdkRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: { toJSON(options?: object): Record<string, string> };
  readonly body?: unknown;
  readonly abortSignal?: AbortSignal | undefined;
}

export interface SdkResponse {
  readonly request: SdkRequest;
  readonly status: number;
  readonly headers: SdkHeaders;
  readonly bodyAsText: string;
}

/** The SDK logs headers as JSON. */
class SdkHeaders extends Headers {
  toJSON(): Record<string, string> {
    return Object.fromEntries(this);
  }
}

export interface BoundedHttpClientOptions {
  /** The one origin that is spoken to. */
  readonly origin: string;
  readonly agent: Agent;
  /** From the first byte sent to the last byte read. */
  readonly timeoutMs: number;
}

/**
 * The SDK's way to the network, in the place of its own: that one bounds no answer, stops its clock at the answer's
 * first byte, and goes where a list's `nextLink` says, with the token in hand.
 */
export class BoundedHttpClient {
  readonly #options: BoundedHttpClientOptions;

  constructor(options: BoundedHttpClientOptions) {
    this.#options = options;
  }

  /** @throws HttpFailure, Unreachable, AttemptTimeout; KeyError `ERR_KEY_CUSTODY` for an answer that it must not give */
  readonly sendRequest = async (request: SdkRequest): Promise<SdkResponse> => {
    // The vault, or whoever answers in its place, controls this address.
    if (new URL(request.url).origin !== this.#options.origin)
      throw unexpected("a page at another address than the vault's");
    return readAnswer(request, await this.#exchange(request));
  };

  async #exchange(request: SdkRequest): Promise<Answer> {
    const { agent, timeoutMs } = this.#options;
    const { method, body, abortSignal } = request;
    if (abortSignal?.aborted === true) throw new AttemptTimeout("Abandoned");
    // Compressed, a short answer could become a long one.
    const headers = { ...request.headers.toJSON(), "accept-encoding": "identity" };
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const call = httpsRequest(request.url, { agent, method, headers }, (message) => {
      readBody(message).then((text) => resolve({ message, text }), reject);
    });
    const end = (why: string): void => void call.destroy(new AttemptTimeout(why));
    const abort = (): void => end("Abandoned");
    const timer = setTimeout(end, timeoutMs, "No answer in time");
    abortSignal?.addEventListener("abort", abort, { once: true });
    call.on("error", (cause) => reject(failureOf(cause)));
    call.end(typeof body === "string" ? body : undefined);
    try {
      return await promise;
    } catch (error) {
      call.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
      abortSignal?.removeEventListener("abort", abort);
    }
  }
}

interface Answer {
  readonly message: IncomingMessage;
  readonly text: string;
}

async function readBody(message: IncomingMessage): Promise<string> {
  if (message.headers["content-encoding"] !== undefined) throw unexpected("a compressed one");
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of message) {
      const bytes = Buffer.from(chunk);
      length += bytes.length;
      if (length > MAX_ANSWER_BYTES) throw unexpected("a very long one");
      chunks.push(bytes);
    }
  } catch (cause) {
    throw failureOf(cause);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function failureOf(cause: unknown): Error {
  if (cause instanceof KeyError || cause instanceof AttemptTimeout) return cause;
  return new Unreachable("Key Vault is not reached", { cause });
}

function readAnswer(request: SdkRequest, { message, text }: Answer): SdkResponse {
  const { statusCode: status = 0 } = message;
  const headers = new SdkHeaders(
    Object.entries(message.headersDistinct).flatMap(([name, values = []]) =>
      values.map((value): [string, string] => [name, value]),
    ),
  );
  const body = parseObject(text);
  // The one refusal that the SDK has an answer to: it fetches a token and asks again.
  if (status === 401) return { request, status, headers: asJson(headers), bodyAsText: "{}" };
  if (status < 200 || status > 299)
    throw new HttpFailure(status, reasonOf(body), retryAfter(headers));
  if (!body) throw unexpected("no JSON object");
  return { request, status, headers: asJson(headers), bodyAsText: text };
}

function asJson(headers: SdkHeaders): SdkHeaders {
  headers.set("content-type", "application/json");
  return headers;
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function reasonOf(body: Readonly<Record<string, unknown>> | undefined): string {
  const error = body?.error;
  const inner = isRecord(error) ? error.innererror : undefined;
  const code = isRecord(inner) ? inner.code : undefined;
  return typeof code === "string" && /^[A-Za-z]{1,64}$/.test(code) ? code : "";
}

// RFC 9110 §10.2.3; a date is not what Azure sends, and is left to our own pauses.
function retryAfter(headers: Headers): number | undefined {
  const seconds = headers.get("retry-after") ?? "";
  return /^[0-9]{1,5}$/.test(seconds) ? Number(seconds) * 1000 : undefined;
}

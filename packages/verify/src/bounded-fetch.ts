/** An answer that was read whole, within its bound. */
export interface BoundedResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

export interface BoundedRequest {
  readonly fetch: typeof fetch;
  readonly url: URL;
  readonly init?: RequestInit;
  readonly maxBytes: number;
  readonly timeoutMs: number;
  /** Aborted when whoever asks is closed. */
  readonly signal: AbortSignal;
}

/**
 * Fetches from an address that the configuration gave. THREAT-26: bounded in time and size; a redirect would let
 * the server choose another address, so it is an error. Any status is an answer.
 *
 * @throws RangeError for a body over `maxBytes`; what `fetch` throws, also for a redirect and when time is up
 */
export async function fetchBounded(request: BoundedRequest): Promise<BoundedResponse> {
  const { url, init, maxBytes, timeoutMs } = request;
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(timeoutMs)]);
  const response = await request.fetch(url, { ...init, redirect: "error", signal });
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop early cancels the body.
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > maxBytes) throw new RangeError(`Response is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return { status: response.status, headers: response.headers, body: Buffer.concat(chunks) };
}

/**
 * Runs a task once, later, and returns a function that cancels it. The default (`scheduleUnref`) keeps no process
 * alive.
 */
export type Schedule = (task: () => void, delayMs: number) => () => void;

export const scheduleUnref: Schedule = (task, delayMs) => {
  const timer = setTimeout(task, delayMs).unref();
  return () => {
    clearTimeout(timer);
  };
};

const LOOPBACK = new Set(["127.0.0.1", "[::1]", "localhost"]);

/** An https URL without user information; http only where the bytes stay on this machine and the caller says so. */
export function isSecureUrl(url: URL, allowLoopbackHttp: boolean): boolean {
  if (url.username !== "" || url.password !== "") return false;
  return (
    url.protocol === "https:" ||
    (allowLoopbackHttp && url.protocol === "http:" && LOOPBACK.has(url.hostname))
  );
}

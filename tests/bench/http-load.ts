import { connect, type Socket } from "node:net";

export interface LoadTarget {
  readonly port: number;
  /** A whole HTTP/1.1 request. */
  readonly request: Buffer;
}

export interface LoadResult {
  readonly done: number;
  readonly seconds: number;
  readonly latenciesMs: readonly number[];
}

/**
 * Keeps `inFlight` requests under way for `seconds`, one to a connection. A bare client, because it shares the cores
 * with what it measures. Any answer but 200 ends the run: a fast refusal is not a token.
 */
export async function httpLoad(
  target: LoadTarget,
  inFlight: number,
  seconds: number,
): Promise<LoadResult> {
  const latenciesMs: number[] = [];
  const start = performance.now();
  const end = start + seconds * 1000;
  await Promise.all(
    Array.from({ length: inFlight }, () => worker(target, end, (ms) => latenciesMs.push(ms))),
  );
  return { done: latenciesMs.length, seconds: (performance.now() - start) / 1000, latenciesMs };
}

function worker(
  { port, request }: LoadTarget,
  end: number,
  onDone: (ms: number) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket: Socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let sentAt = 0;
  let received = "";
  const send = () => {
    sentAt = performance.now();
    received = "";
    socket.write(request);
  };
  socket.setEncoding("latin1");
  socket.on("connect", send);
  socket.on("data", (chunk: string) => {
    received += chunk;
    if (!isWhole(received)) return;
    if (!received.startsWith("HTTP/1.1 200 "))
      return reject(new Error(`Answer: ${received.slice(0, 300)}`));
    const now = performance.now();
    onDone(now - sentAt);
    if (now < end) send();
    else resolve();
  });
  socket.on("error", reject);
  socket.on("close", () => reject(new Error("Connection was closed")));
  return promise.finally(() => socket.destroy());
}

function isWhole(text: string): boolean {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return false;
  const head = text.slice(0, headEnd);
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length !== undefined) return text.length >= headEnd + 4 + Number(length);
  return /\r\ntransfer-encoding: chunked/i.test(head) && text.endsWith("\r\n0\r\n\r\n");
}

export function tokenRequest(
  path: string,
  client: string,
  secret: string,
  form: Readonly<Record<string, string>>,
): Buffer {
  const body = new URLSearchParams(form).toString();
  const credentials = Buffer.from(`${client}:${secret}`).toString("base64");
  return Buffer.from(
    [
      `POST ${path} HTTP/1.1`,
      "host: 127.0.0.1",
      `authorization: Basic ${credentials}`,
      "content-type: application/x-www-form-urlencoded",
      `content-length: ${Buffer.byteLength(body)}`,
      "",
      body,
    ].join("\r\n"),
  );
}

import { createServer, type IncomingMessage } from "node:http";

export interface TestRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}
export interface TestAnswer {
  readonly status: number;
  readonly body: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A loopback HTTP server on a free port, for the time of `work`. */
export async function withHttp(
  answer: (request: TestRequest) => TestAnswer,
  work: (base: string) => Promise<void>,
): Promise<void> {
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const { method = "", url = "", headers } = incoming;
      const found = answer({ method, url, headers, body: Buffer.concat(chunks).toString("utf8") });
      response.writeHead(found.status, { connection: "close", ...found.headers }).end(found.body);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen({ port: 0, host: "127.0.0.1" }, () => resolve());
  });
  const address = server.address();
  try {
    if (typeof address !== "object" || address === null) throw new Error("No address");
    await work(`http://127.0.0.1:${address.port}`);
  } finally {
    server.closeAllConnections();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  }
}

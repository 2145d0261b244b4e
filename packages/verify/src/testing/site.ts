import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";

export interface SiteRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface SiteAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

type Handler = (request: SiteRequest) => SiteAnswer | Promise<SiteAnswer>;

/** A web server on loopback for the time of one test. `handler` may be replaced; every request is kept. */
export class Site {
  readonly requests: SiteRequest[] = [];
  readonly origin: string;
  handler: Handler = () => ({ status: 404 });

  constructor(origin: string) {
    this.origin = origin;
  }

  /** Serves these texts by path. */
  serve(documents: Readonly<Record<string, string | SiteAnswer>>): void {
    this.handler = ({ path }) => {
      const found = documents[path];
      return typeof found === "string" ? { body: found } : (found ?? { status: 404 });
    };
  }

  async answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(Buffer.from(chunk));
    const { method = "", url: path = "", headers } = incoming;
    const request = { method, path, headers, body: Buffer.concat(chunks) };
    this.requests.push(request);
    const { status = 200, headers: answerHeaders = {}, body = "" } = await this.handler(request);
    outgoing.writeHead(status, { ...answerHeaders, connection: "close" }).end(body);
  }
}

export async function withSite(run: (site: Site) => Promise<void>): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new RangeError("No port");
  const site = new Site(`http://127.0.0.1:${address.port}`);
  server.on("request", (incoming, outgoing) => {
    void site.answer(incoming, outgoing);
  });
  try {
    await run(site);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Time that passes only when a test says so. */
export class ManualSchedule {
  readonly delays: number[] = [];
  #task: (() => void) | undefined;

  readonly schedule = (task: () => void, delayMs: number): (() => void) => {
    this.#task = task;
    this.delays.push(delayMs);
    return () => {
      if (this.#task === task) this.#task = undefined;
    };
  };

  get isPlanned(): boolean {
    return this.#task !== undefined;
  }

  /** Runs the planned task. */
  fire(): void {
    const task = this.#task;
    this.#task = undefined;
    if (task === undefined) throw new RangeError("Nothing is planned");
    task();
  }
}

/** Waits for a condition by turns of the event loop, without a clock. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!condition()) {
    if (performance.now() > deadline)
      throw new RangeError(`Condition never held: ${condition.toString()}`);
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isJsonObject, KmsFault, KmsState, type JsonObject } from "./kms-state.ts";
import { checkSigV4, SigV4Error, type SigV4Secret } from "./sigv4.ts";

/** What goes wrong with one request. */
export type Fault =
  /** An error of the service in its own form; nothing is done. */
  | { readonly type: string; readonly status?: number; readonly message?: string }
  /** The answer to what was done, changed. */
  | { readonly change: (answer: JsonObject) => JsonObject }
  /** Bytes in the place of an answer; nothing is done. */
  | { readonly status: number; readonly contentType?: string; readonly body: string }
  /** Nothing comes, for ever. */
  | { readonly hang: true }
  /** The connection is reset: before anything is done, after it, or in the middle of the answer. */
  | { readonly drop: "before" | "after" | "middle" };

export interface KmsServerOptions {
  readonly region?: string;
  readonly aliasPage?: number;
  readonly secrets?: ReadonlyMap<string, SigV4Secret>;
}

export interface SeenRequest {
  readonly operation: string;
  readonly input: JsonObject;
  readonly headers: IncomingMessage["headers"];
  readonly accessKeyId: string;
}

export const TEST_ACCESS_KEY_ID = "AKIDREDOUBTTEST";
export const TEST_SECRET = "a secret of the tests, and of nothing else";
const CONTENT_TYPE = "application/x-amz-json-1.1";
const TARGET = /^TrentService\.([A-Za-z]{1,40})$/;
const MAX_BODY_BYTES = 16_384;

/**
 * AWS KMS on loopback, as far as its API Reference goes: the JSON 1.1 protocol over HTTP, every signature checked,
 * real keys. What the real one does beside that (throttles, delays of consistency) is done on demand.
 */
export class KmsServer implements AsyncDisposable {
  readonly state: KmsState;
  readonly seen: SeenRequest[] = [];
  /** Refusals of the signature check. */
  readonly refused: string[] = [];
  /** Asked before each request is carried out. */
  fault: (operation: string) => Fault | undefined = () => undefined;
  /** Set in the header Date of every answer. */
  date: string | undefined;
  /** Requests that are at the server now, and the most that ever were. */
  underWay = 0;
  mostUnderWay = 0;
  readonly #server: Server;
  readonly #secrets: ReadonlyMap<string, SigV4Secret>;

  private constructor(options: KmsServerOptions) {
    const { region = "eu-central-1", aliasPage = 2 } = options;
    this.state = new KmsState(region, aliasPage);
    this.#secrets = options.secrets ?? new Map([[TEST_ACCESS_KEY_ID, { secret: TEST_SECRET }]]);
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(options: KmsServerOptions = {}): Promise<KmsServer> {
    const server = new KmsServer(options);
    server.#server.listen(0, "127.0.0.1");
    await once(server.#server, "listening");
    return server;
  }

  get endpoint(): string {
    const address = this.#server.address();
    if (typeof address !== "object" || address === null) throw new TypeError("Not listening");
    return `http://127.0.0.1:${address.port}`;
  }

  count(operation: string): number {
    return this.seen.filter((request) => request.operation === operation).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#server.listening) await once(this.#server, "close");
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    response.once("close", () => (this.underWay -= 1));
    if (this.date !== undefined) response.setHeader("date", this.date);
    try {
      const { operation, input } = await this.#accept(request);
      const fault = this.fault(operation);
      if (fault) this.#fail(response, fault, operation, input);
      else reply(response, 200, this.state.run(operation, input));
    } catch (error) {
      replyError(response, error);
    }
  }

  async #accept(request: IncomingMessage): Promise<{ operation: string; input: JsonObject }> {
    const body = await readBody(request);
    const { method = "", url: target = "", headers } = request;
    const accessKeyId = this.#checkSignature({ method, target, headers: pairs(request), body });
    const [, operation = ""] = TARGET.exec(String(headers["x-amz-target"])) ?? [];
    if (method !== "POST" || headers["content-type"] !== CONTENT_TYPE || operation === "")
      throw new KmsFault("UnknownOperationException", "Not a request to KMS");
    const input: unknown = JSON.parse(body.toString("utf8"));
    if (!isJsonObject(input)) throw new KmsFault("SerializationException", "Not an object");
    this.seen.push({ operation, input, headers, accessKeyId });
    return { operation, input };
  }

  #checkSignature(request: Parameters<typeof checkSigV4>[0]): string {
    const { region } = this.state;
    const expected = { secrets: this.#secrets, region, service: "kms", nowMs: Date.now() };
    try {
      return checkSigV4(request, expected);
    } catch (error) {
      if (error instanceof SigV4Error) this.refused.push(error.code);
      throw error;
    }
  }

  #fail(response: ServerResponse, fault: Fault, operation: string, input: JsonObject): void {
    if ("hang" in fault) return;
    if ("type" in fault) {
      const { type, status = 400, message = "as the test asked" } = fault;
      reply(response, status, { __type: type, message });
    } else if ("change" in fault) {
      reply(response, 200, fault.change(this.state.run(operation, input)));
    } else if ("drop" in fault) {
      if (fault.drop !== "before") this.state.run(operation, input);
      if (fault.drop === "middle") {
        response.writeHead(200, { "content-type": CONTENT_TYPE, "content-length": "1000" });
        response.write("{", () => response.destroy());
      } else response.req.socket.resetAndDestroy();
    } else {
      response.writeHead(fault.status, { "content-type": fault.contentType ?? CONTENT_TYPE });
      response.end(fault.body);
    }
  }
}

function pairs({ rawHeaders }: IncomingMessage): [string, string][] {
  return Array.from({ length: rawHeaders.length / 2 }, (_, i) => [
    rawHeaders[2 * i] ?? "",
    rawHeaders[2 * i + 1] ?? "",
  ]);
}

async function readBody(incoming: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  if (body.length > MAX_BODY_BYTES) throw new KmsFault("ValidationException", "Too long");
  return body;
}

function reply(response: ServerResponse, status: number, answer: JsonObject): void {
  response.writeHead(status, { "content-type": CONTENT_TYPE });
  response.end(JSON.stringify(answer));
}

function replyError(response: ServerResponse, error: unknown): void {
  if (error instanceof KmsFault)
    reply(response, 400, { __type: error.type, message: error.message });
  else if (error instanceof SigV4Error)
    reply(response, 400, { __type: error.code, message: error.message });
  else reply(response, 500, { __type: "InternalFailure", message: String(error) });
}

import { hash } from "node:crypto";
import { Agent, request, type RequestOptions } from "node:http";
import { ServiceError } from "@redoubt/base";

export interface WitnessAnswer {
  readonly status: number;
  readonly body: string;
}

export interface WitnessTransport {
  /** An add-checkpoint request (C2SP tlog-witness). */
  readonly send: (body: string) => Promise<WitnessAnswer>;
  /** The newest checkpoint of a log that the witness cosigned (docs/spec/wire.md §5). */
  readonly newest: (origin: string) => Promise<WitnessAnswer>;
}

const TIMEOUT_MS = 5000;
/** A handful of signature lines; whoever answers may send anything. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** Speaks to the witness over HTTP. Nothing of the answer is trusted: a cosignature is verified by whoever asked. */
export class WitnessClient implements WitnessTransport, Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 });
  readonly #prefix: string;

  constructor(prefix: URL) {
    this.#prefix = prefix.href.replace(/\/$/, "");
  }

  readonly send = (body: string): Promise<WitnessAnswer> => {
    const headers = { "content-type": "text/plain; charset=utf-8" };
    return this.#call("add-checkpoint", { method: "POST", headers }, body);
  };

  readonly newest = (origin: string): Promise<WitnessAnswer> =>
    this.#call(`${hash("sha256", origin, "hex")}/checkpoint`, { method: "GET" });

  #call(path: string, options: RequestOptions, body?: string): Promise<WitnessAnswer> {
    return new Promise((resolve, reject) => {
      const call = request(
        `${this.#prefix}/${path}`,
        { ...options, agent: this.#agent, signal: AbortSignal.timeout(TIMEOUT_MS) },
        (response) => {
          const chunks: Buffer[] = [];
          let length = 0;
          response.on("data", (chunk: Buffer) => {
            length += chunk.length;
            if (length <= MAX_ANSWER_BYTES) chunks.push(chunk);
            else call.destroy(new ServiceError("ERR_WITNESS_ANSWER", "Answer is too long"));
          });
          response.on("error", reject);
          response.on("end", () => {
            const text = Buffer.concat(chunks).toString("utf8");
            resolve({ status: response.statusCode ?? 0, body: text });
          });
        },
      );
      call.on("error", reject);
      call.end(body);
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

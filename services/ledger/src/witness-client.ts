import { Agent, request } from "node:http";
import { ServiceError } from "@redoubt/base";

export interface WitnessAnswer {
  readonly status: number;
  readonly body: string;
}

/** How an add-checkpoint request gets to the witness (C2SP tlog-witness). */
export type WitnessTransport = (body: string) => Promise<WitnessAnswer>;

const TIMEOUT_MS = 5000;
/** A handful of signature lines; whoever answers may send anything. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** Speaks to the witness over HTTP. Nothing of the answer is trusted: a cosignature is verified by whoever asked. */
export class WitnessClient implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 });
  readonly #url: URL;

  constructor(prefix: URL) {
    this.#url = new URL(`${prefix.href.replace(/\/$/, "")}/add-checkpoint`);
  }

  readonly send: WitnessTransport = (body) =>
    new Promise((resolve, reject) => {
      const call = request(
        this.#url,
        {
          method: "POST",
          agent: this.#agent,
          headers: { "content-type": "text/plain; charset=utf-8" },
          signal: AbortSignal.timeout(TIMEOUT_MS),
        },
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

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

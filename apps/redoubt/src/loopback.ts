import { ServiceError } from "@redoubt/base";

export interface LoopbackAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

const TIMEOUT_MS = 15_000;

/**
 * Makes one HTTP request whose answer is bounded in time and bytes; redirects are not followed.
 *
 * @throws ServiceError `ERR_FETCH` when no whole answer came
 */
export async function fetchBytes(
  url: string,
  maxBytes: number,
  init: RequestInit = {},
): Promise<LoopbackAnswer> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(url, { ...init, signal, redirect: "error" });
    const { status, headers } = response;
    return { status, headers, body: await readBounded(response, maxBytes) };
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause;
    throw new ServiceError("ERR_FETCH", `No answer from ${url}`, { cause });
  }
}

async function readBounded({ body, url }: Response, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  if (body)
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > maxBytes)
        throw new ServiceError("ERR_FETCH", `Answer of ${url} is larger than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  return Buffer.concat(chunks);
}

import type { RequestFacts } from "./credentials.ts";

/** What the requests of Node's servers have in common, HTTP/2 included. */
export interface NodeRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  /** The URL before a router cut off the path under which it is mounted. */
  readonly originalUrl?: string | undefined;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly rawHeaders?: readonly string[] | undefined;
}

export function nodeFacts({
  method,
  url,
  originalUrl,
  headers,
  rawHeaders,
}: NodeRequest): RequestFacts {
  return {
    method: method ?? "",
    url: originalUrl ?? url ?? "",
    headers: { ...headers, authorization: authorizationOf(headers, rawHeaders) },
  };
}

/** Node keeps the first of two `Authorization` headers without a word; only the raw list has both. */
function authorizationOf(
  headers: NodeRequest["headers"],
  rawHeaders: readonly string[] = [],
): string | readonly string[] | undefined {
  const values = rawHeaders.filter(
    (_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === "authorization",
  );
  return values.length > 1 ? values : headers["authorization"];
}

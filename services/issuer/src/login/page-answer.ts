import { pagePolicy, type HttpAnswer } from "@redoubt/http";

export interface PageOptions {
  readonly status?: number;
  /** Origins that a form of this page may lead to by a redirect, besides our own (CSP `form-action`). */
  readonly formOrigins?: readonly string[];
  readonly cookies?: readonly string[];
}

export const PAGE_HEADERS: readonly string[] = [
  "cache-control",
  "no-store",
  // To nobody else. With `no-referrer`, browsers would send our own forms with `Origin: null` (Fetch §3.2).
  "referrer-policy",
  "same-origin",
  "x-content-type-options",
  "nosniff",
  "x-frame-options",
  "DENY",
  "cross-origin-opener-policy",
  "same-origin",
  "permissions-policy",
  "publickey-credentials-get=(self), publickey-credentials-create=(self)",
];

export function pageAnswer(
  body: string,
  { status = 200, formOrigins = [], cookies = [] }: PageOptions = {},
): HttpAnswer {
  return {
    status,
    headers: [
      "content-type",
      "text/html; charset=utf-8",
      "content-security-policy",
      pagePolicy(formOrigins),
      ...PAGE_HEADERS,
      ...cookies.flatMap((cookie) => ["set-cookie", cookie]),
    ],
    body,
  };
}

/** RFC 9110 §15.4.4: the next request is a GET. */
export function seeOther(location: string, cookies: readonly string[] = []): HttpAnswer {
  return {
    status: 303,
    headers: [
      "location",
      location,
      ...PAGE_HEADERS,
      ...cookies.flatMap((cookie) => ["set-cookie", cookie]),
    ],
    body: "",
  };
}

/** To a page's script: where the browser goes next, or what comes next. */
export function scriptAnswer(
  value: object,
  { status = 200, cookies = [] }: Pick<PageOptions, "status" | "cookies"> = {},
): HttpAnswer {
  return {
    status,
    headers: [
      "content-type",
      "application/json",
      ...PAGE_HEADERS,
      ...cookies.flatMap((cookie) => ["set-cookie", cookie]),
    ],
    body: JSON.stringify(value),
  };
}

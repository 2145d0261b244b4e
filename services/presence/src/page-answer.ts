import { pagePolicy, type HttpAnswer } from "@redoubt/http";

/** THREAT-20: by its policy, what is on the page is what was asked. */
const HEADERS: readonly string[] = [
  "cache-control",
  "no-store",
  "content-security-policy",
  pagePolicy(),
  // The address of a page is the only key to it.
  "referrer-policy",
  "no-referrer",
  "x-content-type-options",
  "nosniff",
  "x-frame-options",
  "DENY",
  "cross-origin-opener-policy",
  "same-origin",
  "cross-origin-resource-policy",
  "same-origin",
  "permissions-policy",
  "publickey-credentials-get=(self), publickey-credentials-create=()",
];

export function pageAnswer(status: number, body: string): HttpAnswer {
  return answer(status, "text/html; charset=utf-8", body);
}

export function fileAnswer(type: string, body: string): HttpAnswer {
  return answer(200, type, body);
}

/** To the page's script: what it shows, and whether there is nothing left to do here. */
export function scriptAnswer(
  status: number,
  said: { readonly message: string; readonly isOver: boolean },
): HttpAnswer {
  return answer(status, "application/json", JSON.stringify(said));
}

function answer(status: number, type: string, body: string): HttpAnswer {
  return { status, headers: ["content-type", type, ...HEADERS], body };
}

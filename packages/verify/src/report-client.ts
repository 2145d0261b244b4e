import { fetchBounded, isSecureUrl, type BoundedResponse } from "./bounded-fetch.ts";
import { PinnedKey } from "./pinned-key.ts";
import type { EvidenceBatch } from "./report-evidence.ts";
import {
  readAcknowledgement,
  readEvidenceAnswer,
  type Acknowledged,
  type SealedReport,
} from "./report-message.ts";
import type { ReportQueueOptions } from "./report-options.ts";
import { reporterKey, signedHeaders } from "./report-signature.ts";

/**
 * What became of a report. Only after `acknowledged` may the queue forget its items. `refused`: an answer below 500
 * that
 * is not 200; `invalid`: 200 without a right acknowledgement; `unreachable`: no answer, or 500 and above.
 */
export type ReportOutcome =
  | ({ readonly kind: "acknowledged" } & Acknowledged)
  | { readonly kind: "refused"; readonly status: number }
  | { readonly kind: "invalid" }
  | { readonly kind: "unreachable" };

/** What became of evidence. */
export type EvidenceOutcome =
  | { readonly kind: "taken"; readonly refused: readonly string[] }
  | { readonly kind: "refused"; readonly status: number }
  | { readonly kind: "unreachable" };

const MAX_ANSWER_BYTES = 262_144;
const TIMEOUT_MS = 10_000;
const MAX_RETRY_AFTER_SECONDS = 3600;

/** Speaks to one monitor, under one name. Never rejects: each failure is an outcome. */
export class ReportClient {
  readonly #base: URL;
  readonly #signer: Parameters<typeof signedHeaders>[0];
  readonly #expected: {
    readonly reporter: string;
    readonly session: string;
    readonly ackKey: PinnedKey;
  };
  readonly #fetch: typeof fetch;
  readonly #now: () => number;
  readonly #closing = new AbortController();
  #retryAfterMs = 0;

  constructor(options: ReportQueueOptions, session: string) {
    const { reporter, secret, ackKey } = options;
    this.#base = parseBase(options.url);
    // docs/spec/logs.md §4; none of these needs an escape in a header's string (RFC 8941 §3.3.3).
    if (!/^[\w.-]{1,64}$/.test(reporter)) throw new TypeError("reporter: not a name");
    this.#signer = { reporter, key: reporterKey(secret) };
    if (typeof options.onAlarm !== "function") throw new TypeError("onAlarm: not a function");
    this.#expected = { reporter, session, ackKey: new PinnedKey(ackKey) };
    this.#fetch = options.fetch ?? fetch;
    this.#now = options.now ?? Date.now;
  }

  /** What the monitor's last answer to a report said in `Retry-After`; 0 if nothing. */
  get retryAfterMs(): number {
    return this.#retryAfterMs;
  }

  async send(report: SealedReport): Promise<ReportOutcome> {
    const answer = await this.#post("reports", report.body);
    if (answer === undefined) return { kind: "unreachable" };
    this.#retryAfterMs = retryAfterSeconds(answer.headers) * 1000;
    if (answer.status >= 500) return { kind: "unreachable" };
    if (answer.status !== 200) return { kind: "refused", status: answer.status };
    const acknowledged = readAcknowledgement(answer.body, report, this.#expected);
    return acknowledged === undefined
      ? { kind: "invalid" }
      : { kind: "acknowledged", ...acknowledged };
  }

  async sendEvidence({ body, digests }: EvidenceBatch): Promise<EvidenceOutcome> {
    const answer = await this.#post("evidence", body);
    if (answer === undefined || answer.status >= 500) return { kind: "unreachable" };
    if (answer.status >= 300) return { kind: "refused", status: answer.status };
    return { kind: "taken", refused: readEvidenceAnswer(answer.body, digests) };
  }

  close(): void {
    this.#closing.abort();
  }

  async #post(path: string, body: string | Uint8Array): Promise<BoundedResponse | undefined> {
    try {
      // The path at the monitor is signed, not the one in `url`: a proxy takes its prefix away (reports.md §1).
      const headers = signedHeaders(this.#signer, `/${path}`, body, this.#now());
      return await fetchBounded({
        fetch: this.#fetch,
        url: new URL(path, this.#base),
        init: { method: "POST", headers, body },
        maxBytes: MAX_ANSWER_BYTES,
        timeoutMs: TIMEOUT_MS,
        signal: this.#closing.signal,
      });
    } catch {
      // Whatever the reason, nothing was acknowledged: the queue keeps the items, counts, and tries again.
      return undefined;
    }
  }
}

function parseBase(text: string): URL {
  const base = text.endsWith("/") ? text : `${text}/`;
  const url = URL.canParse(base) ? new URL(base) : undefined;
  if (url === undefined || !isSecureUrl(url, true) || url.search !== "" || url.hash !== "")
    throw new TypeError("url: expected an https URL, or http on loopback");
  return url;
}

/** RFC 9110 §10.2.3, seconds only. */
function retryAfterSeconds(headers: Headers): number {
  const text = headers.get("retry-after") ?? "";
  if (!/^\d{1,9}$/.test(text)) return 0;
  return Math.min(Number(text), MAX_RETRY_AFTER_SECONDS);
}

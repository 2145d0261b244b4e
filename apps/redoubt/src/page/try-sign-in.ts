import { hash, randomBytes } from "node:crypto";
import type { Html } from "@redoubt/http";
import { html } from "@redoubt/http";
import { parseJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import { fetchBytes } from "../loopback.ts";
import type { PlainPage } from "../up/status-page.ts";

/** A client of people that exists on one machine only, so that a newcomer sees what a sign-in gives. */
export interface TryClient {
  readonly client: string;
  /** Below which the people of its tenant sign in. */
  readonly login: string;
  /** On loopback. */
  readonly tokenEndpoint: string;
  readonly audience: string;
  readonly scope: string;
  /** Origin of this page. */
  readonly origin: string;
}

export const TRY_PATH = "/try";
export const TRY_CALLBACK = "/try/callback";

interface Started {
  readonly verifier: string;
  readonly untilMs: number;
}

const MAX_STARTED = 32;
const STARTED_MS = 1_800_000;
const MAX_ANSWER_BYTES = 64 * 1024;
const HTML = "text/html; charset=utf-8";

/** The smallest application there can be: it sends people to sign in, and shows them the tokens that it gets. */
export class TrySignIn {
  readonly #client: TryClient;
  readonly #nowMs: () => number;
  /** By state: each is good for one way back. */
  readonly #started = new Map<string, Started>();

  constructor(client: TryClient, nowMs: () => number) {
    this.#client = client;
    this.#nowMs = nowMs;
  }

  pages(): Readonly<Record<string, (query: URLSearchParams) => Promise<PlainPage>>> {
    return {
      [TRY_PATH]: () => Promise.resolve(this.#start()),
      [TRY_CALLBACK]: (query) => this.#finish(query),
    };
  }

  #start(): PlainPage {
    const { client, login, origin, audience, scope } = this.#client;
    const [state, verifier] = [16, 32].map((size) => randomBytes(size).toString("base64url"));
    if (state === undefined || verifier === undefined) throw new RangeError("No random bytes");
    const [oldest] = this.#started.keys();
    if (this.#started.size >= MAX_STARTED && oldest !== undefined) this.#started.delete(oldest);
    this.#started.set(state, { verifier, untilMs: this.#nowMs() + STARTED_MS });
    const query = new URLSearchParams({
      response_type: "code",
      client_id: client,
      redirect_uri: `${origin}${TRY_CALLBACK}`,
      scope: `openid ${scope}`,
      resource: audience,
      state,
      code_challenge: hash("sha256", verifier, "base64url"),
      code_challenge_method: "S256",
    });
    return { status: 303, type: HTML, body: "", location: `${login}/authorize?${String(query)}` };
  }

  async #finish(query: URLSearchParams): Promise<PlainPage> {
    const state = query.get("state") ?? "";
    const started = this.#started.get(state);
    this.#started.delete(state);
    const code = query.get("code");
    if (!started || this.#nowMs() > started.untilMs)
      return failed("This sign-in was not begun here, or is over. Begin again.");
    if (code === null) return failed(`No sign-in: ${query.get("error") ?? "no code came"}.`);
    const tokens = await this.#exchange(code, started.verifier);
    const [id, access] = [tokens["id_token"], tokens["access_token"]];
    if (typeof id !== "string" || typeof access !== "string")
      return failed(`No token: ${textOf(tokens["error"]) || "the answer has none"}.`);
    return { status: 200, type: HTML, body: tokenPage(id, access) };
  }

  async #exchange(code: string, verifier: string): Promise<JsonObject> {
    const { client, tokenEndpoint, origin, audience } = this.#client;
    const body = new URLSearchParams({
      grant_type: "authorization_code",
      client_id: client,
      redirect_uri: `${origin}${TRY_CALLBACK}`,
      resource: audience,
      code,
      code_verifier: verifier,
    });
    const answer = await fetchBytes(tokenEndpoint, MAX_ANSWER_BYTES, { method: "POST", body });
    return parseJsonObject(answer.body);
  }
}

function failed(text: string): PlainPage {
  return {
    status: 200,
    type: HTML,
    body: page(
      "Not signed in",
      html`<p role="alert">${text}</p>
        ${again()}`,
    ),
  };
}

function tokenPage(idToken: string, accessToken: string): string {
  return page(
    "You are signed in",
    html`<p>
        These two tokens were made for this page. Each was in the log before it was signed:
        <code>redoubt alarms</code> stays silent, because the one who issued them has them.
      </p>
      <h2>Access token, for an API</h2>
      ${claims(accessToken)}
      <details>
        <summary>As it is sent</summary>
        <p><code>${accessToken}</code></p>
      </details>
      <h2>ID token, for the application</h2>
      ${claims(idToken)} ${again()}`,
  );
}

function again(): Html {
  return html`<p>
    <a href="${TRY_PATH}">Sign in again</a> · <a href="/">Status of the system</a>
  </p>`;
}

/** What is shown is not verified: it came from our own issuer a moment ago, over loopback. */
function claims(token: string): Html {
  const [, payload = ""] = token.split(".");
  const unverified = parseJsonObject(Buffer.from(payload, "base64url"));
  return html`<div class="scroll">
    <table>
      <tbody>
        ${Object.entries(unverified).map(
          ([name, value]) =>
            html`<tr>
              <th scope="row"><code>${name}</code></th>
              <td>${shown(name, value)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

const TIMES: readonly string[] = ["iat", "nbf", "exp", "auth_time"];

function shown(name: string, value: JsonValue): string {
  if (TIMES.includes(name) && typeof value === "number")
    return `${value} (${new Date(value * 1000).toISOString().slice(0, 19)}Z)`;
  return textOf(value) || JSON.stringify(value);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function page(title: string, content: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · Redoubt</title>
        <link rel="icon" href="/icon.svg" />
        <link rel="stylesheet" href="/style.css" />
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          ${content}
        </main>
      </body>
    </html> `.text;
}

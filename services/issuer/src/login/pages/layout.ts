import { html, jsonText, type Html } from "@redoubt/http";
import { SCRIPT_TEXTS, TEXTS, type Failure } from "./messages.ts";

export interface PageFrame {
  /** Says what the page wants of a person. */
  readonly title: string;
  /** Path of the tenant's part, below which style and script are. */
  readonly mount: string;
  readonly content: Html;
  readonly hasScript?: boolean;
  /** What went wrong before this page was made: the title says it first. */
  readonly failure?: Failure | undefined;
}

const START = "<!doctype html>";

/** One card on an otherwise empty page: there is one thing to do here. */
export function page({ title, mount, content, hasScript = false, failure }: PageFrame): string {
  const script = html`<script src="${mount}/passkey.js" defer></script>`;
  const texts = html`<div data-texts="${jsonText(SCRIPT_TEXTS)}" hidden></div>
    <noscript><p class="notice bad">${TEXTS.noScript}</p></noscript>`;
  const head = failure === undefined ? "" : `${failure.title} · `;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${head}${title}</title>
        <link rel="icon" href="${mount}/icon.svg" />
        <link rel="stylesheet" href="${mount}/style.css" />
        ${hasScript ? script : ""}
      </head>
      <body>
        <main class="narrow">
          <div class="card">
            <h1>${title}</h1>
            ${hasScript ? texts : ""} ${content}
          </div>
        </main>
      </body>
    </html> `.text;
}

/** Whether this is a page of ours, and not what the protocol library answers by itself. */
export function isPage(body: string | Uint8Array): boolean {
  return Buffer.from(body.slice(0, START.length)).toString() === START;
}

/** Where failures are said: heard at once (`role=alert`) and focused, by us or by the script. */
export function notice(failure?: Failure): Html {
  const { title = "", text = "", perhaps = [] } = failure ?? {};
  return html`<div
    id="notice"
    class="notice bad"
    role="alert"
    tabindex="-1"
    ${failure ? "autofocus" : "hidden"}
  >
    <strong class="state bad">${title}</strong>
    <p>${text}</p>
    <ul ${perhaps.length > 0 ? "" : "hidden"}>
      ${perhaps.map((one) => html`<li>${one}</li>`)}
    </ul>
  </div>`;
}

import { html, type Html } from "@redoubt/http";

export interface PageFrame {
  /** Says what the page wants of a person. */
  readonly title: string;
  /** Path of the tenant's part, below which style and script are. */
  readonly mount: string;
  readonly content: Html;
  readonly hasScript?: boolean;
}

/** One card on an otherwise empty page: there is one thing to do here. */
export function page({ title, mount, content, hasScript = false }: PageFrame): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <link rel="icon" href="${mount}/icon.svg" />
        <link rel="stylesheet" href="${mount}/style.css" />
        ${hasScript ? html`<script src="${mount}/passkey.js" defer></script>` : ""}
      </head>
      <body>
        <main class="narrow">
          <div class="card">
            <h1>${title}</h1>
            ${content}
          </div>
        </main>
      </body>
    </html> `.text;
}

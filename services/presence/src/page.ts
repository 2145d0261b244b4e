import { html, jsonText, type Html } from "@redoubt/http";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { Ceremony } from "./ceremony.ts";

/** How long a browser waits for a passkey: time to fetch a security key. */
const PROMPT_MS = 120_000;

/** A statement that waits for somebody. */
export function statementPage(ceremony: Ceremony, now: number): string {
  const { opened, approvers, assertions } = ceremony;
  const [title = "", ...lines] = opened.text;
  const left = opened.statement.expiresAt - now;
  return documentOf({
    title,
    hasScript: true,
    content: html`<p class="soft">Asked by ${callerText(ceremony.caller)}.</p>
      <div class="statement">${lines.map((line) => html`<p dir="ltr">${whole(line)}</p>`)}</div>
      <h2 id="code">Code</h2>
      <p class="code" aria-labelledby="code" role="group">${opened.code}</p>
      <p class="soft">
        Whoever asked sees this code beside the same text. If theirs is another, decline.
      </p>
      <p class="soft" id="left" data-seconds="${left}">Still good for ${leftText(left)}.</p>
      ${
        approvers > 1
          ? html`<p class="soft">
              Needs ${approvers} approvals, each by another person; has ${assertions.length}.
            </p>`
          : ""
      }
      <p role="alert" id="status" tabindex="-1"></p>
      <div class="choice">
        <button
          type="button"
          id="approve"
          class="primary"
          data-options="${jsonText(requestOptions(ceremony))}"
          data-answer="/${ceremony.id}/assertion"
        >
          Approve with a passkey
        </button>
        <button type="button" id="decline" data-answer="/${ceremony.id}/decline">Decline</button>
      </div>
      <noscript
        ><p>This page needs JavaScript: without it no browser asks for a passkey.</p></noscript
      >`,
  });
}

/** Nothing to do here, and why. */
export function plainPage(title: string, why: string): string {
  return documentOf({ title, hasScript: false, content: html`<p>${why}</p>` });
}

type Asked = Pick<Ceremony, "opened" | "credentials" | "assertions">;

/** WebAuthn §5.5. Passkeys that approved already are not asked again. */
function requestOptions({ opened, credentials = [], assertions }: Asked): object {
  const left = credentials.filter((id) => !assertions.some((one) => one.credentialId === id));
  return {
    challenge: encodeBase64url(opened.challenge),
    rpId: opened.statement.rpId,
    allowCredentials: left.map((id) => ({ type: "public-key", id })),
    // THREAT-20: whoever holds the passkey must show that it is theirs.
    userVerification: "required",
    timeout: PROMPT_MS,
  };
}

function callerText(caller: string): string {
  return caller === "operator"
    ? "an operator, with a command on the server"
    : `the sign-in of realm ${caller.replace(/^issuer-/, "")}`;
}

function leftText(seconds: number): string {
  if (seconds >= 120) return `${Math.floor(seconds / 60)} minutes`;
  return seconds === 1 ? "1 second" : `${seconds} seconds`;
}

const PIECE = 512;

/**
 * A line of the statement with every character of it: `html` shortens what is very long, and here what is left out would
 * be approved unseen. No piece ends within a character: all that a renderer leaves as it is are of one UTF-16 unit.
 */
function whole(line: string): readonly Html[] {
  const pieces = Math.ceil(line.length / PIECE);
  return Array.from({ length: pieces }, (_, i) => html`${line.slice(i * PIECE, (i + 1) * PIECE)}`);
}

function documentOf({
  title,
  content,
  hasScript,
}: {
  readonly title: string;
  readonly content: Html;
  readonly hasScript: boolean;
}): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <link rel="icon" href="/icon.svg" />
        <link rel="stylesheet" href="/style.css" />
        <link rel="stylesheet" href="/approve.css" />
        ${hasScript ? html`<script src="/approve.js" defer></script>` : ""}
      </head>
      <body>
        <main>
          <div class="card">
            <h1>${title}</h1>
            ${content}
          </div>
        </main>
      </body>
    </html> `.text;
}

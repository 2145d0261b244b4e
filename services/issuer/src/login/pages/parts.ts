import { html, jsonText, type Html } from "@redoubt/http";
import { TEXTS } from "./messages.ts";

/** What a page with a passkey button needs: options of the browser's call, and where its answer goes. */
export interface CeremonyView {
  readonly mount: string;
  readonly options: object;
  /** Path to which the answer is posted. */
  readonly answerPath: string;
}

/** The one button of a page, and the line in which the script says what is going on. */
export function passkeyButton(kind: "get" | "create", view: CeremonyView, text: string): Html {
  return html`<button
      type="button"
      data-passkey="${kind}"
      data-options="${jsonText(view.options)}"
      data-answer="${view.answerPath}"
    >
      ${text}
    </button>
    <p id="progress" class="soft" role="status"></p>`;
}

/** A form that is nothing but its button. */
export function action(path: string, text: string, fields: Html = html``): Html {
  return html`<form method="post" action="${path}">
    ${fields}<button type="submit" class="quiet">${text}</button>
  </form>`;
}

export function whatIsIt(): Html {
  const { title, text } = TEXTS.whatIsIt;
  return html`<details>
    <summary>${title}</summary>
    <p class="soft">${text}</p>
  </details>`;
}

import type { Problem } from "../problems.ts";
import { countText } from "./figure-text.ts";
import { html, type Html } from "@redoubt/http";

const SHOWN = 8;

/** Whether a person is needed, in one sentence: the page's title, and its first words. */
export function verdict(problems: readonly Problem[]): string {
  const [first, ...others] = bySeverity(problems);
  if (!first) return "Healthy: nothing needs you";
  if (others.length === 0) return `1 thing needs you: ${first.what}`;
  return `${countText(problems.length)} things need you, first: ${first.what}`;
}

/** Announced to people who cannot see it when its words change; nothing else on the page is. */
export function banner(problems: readonly Problem[]): Html {
  const sorted = bySeverity(problems);
  const level = sorted[0]?.level ?? "good";
  const left = sorted.length - SHOWN;
  return html`<section id="banner" class="card banner ${level}" role="status">
    <p class="verdict state ${level}">${verdict(problems)}</p>
    ${
      sorted.length === 0
        ? html`<p class="soft">
            Tokens are issued, each is in a log that the witness has signed, and no alarm is open
            that must be looked at.
          </p>`
        : html`<ol class="problems">
            ${sorted.slice(0, SHOWN).map(item)}
          </ol>`
    }
    ${left > 0 ? html`<p class="soft">And ${countText(left)} more: <code>redoubt status</code></p>` : ""}
  </section>`;
}

function item({ what, todo, command }: Problem): Html {
  return html`<li>
    <strong>${what}</strong
    ><span class="todo">${todo}</span
    >${command === null ? "" : html`<code class="command">${command}</code>`}
  </li>`;
}

function bySeverity(problems: readonly Problem[]): readonly Problem[] {
  return [
    ...problems.filter(({ level }) => level === "bad"),
    ...problems.filter(({ level }) => level !== "bad"),
  ];
}

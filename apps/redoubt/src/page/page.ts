import { span } from "../table.ts";
import { banner, verdict } from "./banner.ts";
import type { PageFacts } from "./facts.ts";
import { timeText } from "./figure-text.ts";
import { figures } from "./figures.ts";
import { html, type Html } from "@redoubt/http";
import { keysSection } from "./keys.ts";
import { labelsSection } from "./labels.ts";
import { logsSection } from "./logs.ts";
import { alarmsSection } from "./open-alarms.ts";
import { processesSection } from "./processes.ts";

/** The whole page. What is wrong stands first, whichever order the sections have otherwise. */
export function renderPage(facts: PageFacts): string {
  return documentOf(titleOf(facts), main(facts));
}

/** What live.js puts in place of what is shown. */
export function renderFragment(facts: PageFacts): string {
  return main(facts).text;
}

/** Where the supervisor itself cannot say anything in time. */
export function renderFailure(why: string): string {
  const title = "1 thing needs you: the system cannot be read";
  return documentOf(
    title,
    html`<main id="main" data-title="${title}">
      <header>
        <h1>Redoubt</h1>
        <p class="soft" id="read">read just now</p>
      </header>
      <section class="card banner bad" role="status" id="banner">
        <p class="verdict state bad">${title}</p>
        <ol class="problems">
          <li>
            <span class="todo"
              >${why}. The supervisor's own words are in the terminal that started it.</span
            ><code class="command">redoubt status</code>
          </li>
        </ol>
      </section>
    </main>`,
  );
}

function titleOf({ system: { problems }, host }: PageFacts): string {
  return `${verdict(problems)} · ${host} · Redoubt`;
}

function main(facts: PageFacts): Html {
  const { host, now, upSince, system, folder } = facts;
  const openFirst = (system.openAlarms?.length ?? 1) > 0;
  return html`<main id="main" data-title="${titleOf(facts)}">
    <header>
      <h1>Redoubt</h1>
      <p class="soft">
        ${host} · up ${span(now - upSince)} · <span id="read">read at ${timeText(now)} UTC</span>
      </p>
    </header>
    ${banner(system.problems)} ${openFirst ? alarmsSection(facts) : ""} ${figures(facts)}
    ${keysSection(facts)} ${logsSection(facts)} ${openFirst ? "" : alarmsSection(facts)}
    ${processesSection(facts)} ${labelsSection(facts)}
    <footer class="soft">
      <p>
        Commands: <code>redoubt</code> is <code>npm run -s redoubt -- --data ${folder}</code>. For
        machines: <a href="/status.json">status.json</a>, <a href="/metrics">metrics</a>,
        <a href="/readyz">readyz</a>.
      </p>
    </footer>
  </main>`;
}

function documentOf(title: string, content: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <link rel="icon" href="/icon.svg" />
        <link rel="stylesheet" href="/style.css" />
        <script src="/live.js" defer></script>
        <noscript><meta http-equiv="refresh" content="5" /></noscript>
      </head>
      <body>
        ${content}
      </body>
    </html> `.text;
}

import type { ProcessStatus } from "../problems.ts";
import { span } from "../table.ts";
import type { PageFacts } from "./facts.ts";
import { countText } from "./figure-text.ts";
import { html, type Html } from "@redoubt/http";
import { dataTable } from "./table.ts";

const HEADINGS = ["Process", "State", "Runs", "Process id", "Restarts"];

export function processesSection({ system: { processes }, now }: PageFacts): Html {
  const rows = processes.map((process) => row(process, now));
  return html`<section id="processes" aria-labelledby="processes-heading">
    <h2 id="processes-heading">Processes</h2>
    <div class="card">${dataTable("Processes", HEADINGS, rows)}</div>
  </section>`;
}

function row(process: ProcessStatus, now: number): readonly (Html | string)[] {
  const { service, pid, restarts, startedAt } = process;
  return [
    service,
    state(process),
    startedAt === null ? "no" : `for ${span(now - startedAt)}`,
    pid === null ? "none" : String(pid),
    restarts === 0 ? "none" : countText(restarts),
  ];
}

function state({ ready, reason, unreadable }: ProcessStatus): Html {
  const word = ready
    ? html`<span class="state good">ready</span>`
    : html`<span class="state bad">not ready</span>`;
  const why = reason === null || ready ? "" : html`<span class="why">${reason}</span>`;
  const words = unreadable ? html` <span class="state bad">its words are unreadable</span>` : "";
  return html`${word}${why}${words}`;
}

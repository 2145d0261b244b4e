import { LATE_SECONDS, type LogStatus } from "../problems.ts";
import { span } from "../table.ts";
import type { PageFacts } from "./facts.ts";
import { bytesText, countText } from "./figure-text.ts";
import { html, type Html } from "@redoubt/http";
import { dataTable } from "./table.ts";

/** A compromised ledger may tell of any number of logs. */
const SHOWN = 32;
const HEADINGS = ["Log", "Entries", "Signed by the witness", "Read by the monitor"];

export function logsSection({ system: { logs }, ledgerBytes, now }: PageFacts): Html {
  const disk = ledgerBytes === null ? "cannot be read" : bytesText(ledgerBytes);
  const rows = logs.slice(-SHOWN).map((log) => row(log, now));
  const shown =
    logs.length === 0
      ? html`<p>Logs cannot be read now: the list above says why.</p>`
      : dataTable("Logs", HEADINGS, rows);
  return html`<section id="logs" aria-labelledby="logs-heading">
    <h2 id="logs-heading">Logs</h2>
    <div class="card">
      ${shown}
      <p class="soft foot">
        On disk, all logs together: ${disk}. Without a new signature of the witness for 15 min,
        nothing is issued.
      </p>
    </div>
  </section>`;
}

function row(log: LogStatus, now: number): readonly (Html | string)[] {
  const name = log.log.replace(/^redoubt\.local\//, "");
  return [
    html`<span class="any">${name}</span>`,
    countText(log.size),
    cosigned(log, now),
    monitored(log),
  ];
}

function cosigned({ size, cosigned: newest }: LogStatus, now: number): Html {
  if (size === 0) return html`<span class="state quiet">empty</span>`;
  if (!newest) return html`<span class="state warn">never</span>`;
  const age = now - newest.timeSeconds;
  const behind = size - newest.size;
  const rest = behind > 0 ? `, ${countText(behind)} entries behind` : "";
  return html`<span class="state ${age > LATE_SECONDS ? "warn" : "good"}"
    >${span(age)} ago${rest}</span
  >`;
}

function monitored({ size, monitored: read }: LogStatus): Html {
  if (read === null) return html`<span class="state warn">unknown</span>`;
  return read >= size
    ? html`<span class="state good">all of it</span>`
    : html`<span class="state quiet">${countText(size - read)} entries behind</span>`;
}

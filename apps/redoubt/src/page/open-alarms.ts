import { isOpenCritical, type Alarm } from "../alarms.ts";
import { instant, span } from "../table.ts";
import type { PageFacts } from "./facts.ts";
import { countText } from "./figure-text.ts";
import { html, type Html } from "@redoubt/http";
import { dataTable } from "./table.ts";

const SHOWN = 12;
const MAX_DETAILS = 12;

export function alarmsSection({ system: { openAlarms }, now }: PageFacts): Html {
  return html`<section id="alarms" aria-labelledby="alarms-heading">
    <h2 id="alarms-heading">Open alarms</h2>
    ${list(openAlarms, now)}
  </section>`;
}

const HEADINGS = ["Alarm", "Severity", "Since", "Evidence", "Looked into: close it"];

function list(alarms: readonly Alarm[] | null, now: number): Html {
  if (!alarms)
    return html`<p class="card">
      <span class="state bad">Alarms cannot be read</span> That is not the same as none.
    </p>`;
  if (alarms.length === 0)
    return html`<p class="card"><span class="state good">No open alarm</span></p>`;
  const newest = alarms.toReversed();
  const loud = newest.filter(isOpenCritical);
  const others = newest.filter((alarm) => !isOpenCritical(alarm));
  const left = Math.max(0, loud.length - SHOWN) + Math.max(0, others.length - SHOWN);
  const rows = others.slice(0, SHOWN).map((alarm) => row(alarm, now));
  return html`<div class="stack">
    ${loud.slice(0, SHOWN).map((alarm) => card(alarm, now))}
    ${rows.length === 0 ? "" : html`<div class="card">${dataTable("Open alarms", HEADINGS, rows)}</div>`}
    ${left > 0 ? html`<p class="soft">And ${countText(left)} more: <code>redoubt alarms</code></p>` : ""}
  </div>`;
}

function row(alarm: Alarm, now: number): readonly (Html | string)[] {
  const { id, at, kind, severity } = alarm;
  const words = evidence(alarm).map(([name, value]) => `${name} ${value}`);
  return [
    html`<span class="any">${id}: ${kind}</span>`,
    html`<span class="state ${levelOf(alarm)}">${severity}</span>`,
    html`<span title="${instant(at)}">${span(now - at)} ago</span>`,
    html`<span class="any">${words.join(", ")}</span>`,
    html`<code class="any">${closing(alarm)}</code>`,
  ];
}

const LEVEL: Readonly<Record<string, string>> = { critical: "bad", warning: "warn" };

/** What the kinds mean that a person must act upon; docs/spec/reports.md has the others. */
const MEANING: Readonly<Record<string, string>> = {
  forged: "A verifier saw a signature of ours on a token that no log holds",
  "foreign-key": "A key is served that the registry does not know",
  undelivered:
    "A token is in the log, and its issuer never got it: the signer's realm may be compromised",
  "unlogged-delivery": "An issuer got a token that no log holds",
  "orphan-used": "A token is used of which its issuer says that it never got it",
  "unjudged-miss":
    "A verifier saw a token that no log holds; whether it is forged could not be proven",
  fork: "A log shows different histories",
  "unsigned-batch": "A log grew without its signer",
  "bad-entry": "A log has an entry of a wrong form",
  "witness-rollback": "The witness was set back",
  "log-shrunk": "A log is shorter than it was",
  "log-cut": "A log was cut",
  "registry-hidden": "The ledger hides a statement of the registry",
  "audit-blind": "The monitor cannot read a log",
  "deliveries-full": "An issuer reports more than the monitor can hold",
  "disk-critical": "The disk is nearly full",
  "disk-low": "The disk runs low",
  "witness-late": "A log has no new signature of the witness",
};

function levelOf({ severity }: Alarm): string {
  return (Object.hasOwn(LEVEL, severity) && LEVEL[severity]) || "quiet";
}

function card(alarm: Alarm, now: number): Html {
  const { id, at, kind, severity } = alarm;
  const meaning = (Object.hasOwn(MEANING, kind) && MEANING[kind]) || "";
  const facts = [["since", `${instant(at)}, ${span(now - at)} ago`] as const, ...evidence(alarm)];
  return html`<article class="card alarm bad">
    <h3><span class="state bad">${severity}</span> ${id}: ${kind}</h3>
    ${meaning === "" ? "" : html`<p>${meaning}.</p>`}
    <dl>
      ${facts.map(
        ([name, value]) =>
          html`<div>
            <dt>${name}</dt>
            <dd class="mono">${value}</dd>
          </div>`,
      )}
    </dl>
    <p class="soft">Look at it, then close it:</p>
    <code class="command">redoubt alarms list --since ${id - 1}</code>
    <code class="command">${closing(alarm)}</code>
  </article>`;
}

/** What the alarm rests on. */
function evidence(alarm: Alarm): readonly (readonly [string, string])[] {
  const { digest, digests = [], count, log, reporter, detail } = alarm;
  const more = digests.length > 1 ? ` and ${countText(digests.length - 1)} more` : "";
  return [
    ["seen", `${countText(count)} ${count === 1 ? "time" : "times"}`],
    ...(digest === undefined ? [] : [["token digest", digest + more] as const]),
    ...(log === undefined ? [] : [["log", log] as const]),
    ...(reporter === undefined ? [] : [["reported by", reporter] as const]),
    ...details(detail),
  ];
}

/** The monitor chose the digest, and whoever copies the command trusts it: nothing in it may end the argument. */
function closing({ id, digest }: Alarm): string {
  const named =
    digest === undefined ? "" : ` --digest ${/^[\w-]+$/.test(digest) ? digest : "unreadable"}`;
  return `redoubt alarms close ${id}${named} --reason "…"`;
}

function details(detail: unknown): readonly (readonly [string, string])[] {
  if (typeof detail !== "object" || detail === null) return [];
  return Object.entries(detail)
    .slice(0, MAX_DETAILS)
    .map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]);
}

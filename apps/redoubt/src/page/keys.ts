import { isDrill } from "@redoubt/keys";
import { nextText, tenantsText, type KeyView } from "../keys/key-list.ts";
import type { PageFacts } from "./facts.ts";
import { countText, dayText } from "./figure-text.ts";
import { html, type Html } from "@redoubt/http";
import { shortKid, stateLevel, stateText } from "./key-words.ts";
import { dataTable } from "./table.ts";
import { timelines } from "./timeline.ts";

/** A signer writes keys into the registry: a compromised one must not make the page endless. */
const SHOWN = 24;

export function keysSection({ system: { keys }, now }: PageFacts): Html {
  return html`<section id="keys" aria-labelledby="keys-heading">
    <h2 id="keys-heading">Signing keys</h2>
    ${
      keys
        ? keysCard(
            keys.filter((key) => !isDrill(key)),
            now,
          )
        : html`<p class="card">Keys cannot be read now: the list above says why.</p>`
    }
  </section>`;
}

const HEADINGS = ["Realm", "Key", "State", "Kept in", "Covers", "Next"];

function keysCard(keys: readonly KeyView[], now: number): Html {
  const shown = keys.toSorted(inOrder).slice(0, SHOWN);
  if (shown.length === 0) return html`<p class="card">No key yet.</p>`;
  const left = keys.length - shown.length;
  const rows = shown.map((key) => row(key, now));
  return html`<div class="card">
    ${timelines(shown, now)} ${dataTable("Signing keys", HEADINGS, rows)}
    ${left > 0 ? html`<p class="soft foot">And ${countText(left)} more: <code>redoubt keys list</code></p>` : ""}
  </div>`;
}

const STATES = ["active", "prepublished", "generated", "verify-only"];

/** By realm; in each what signs, what comes, what was. */
function inOrder(a: KeyView, b: KeyView): number {
  return a.realm.localeCompare(b.realm) || place(a) - place(b) || b.since - a.since;
}

function place({ state }: KeyView): number {
  const found = STATES.indexOf(state);
  return found < 0 ? STATES.length : found;
}

function row(key: KeyView, now: number): readonly (Html | string)[] {
  const { realm, kid, state, custody, held, tenants, activeTenants, alarms } = key;
  const alarm = alarms[0];
  return [
    key.class === "oidc" ? html`${realm} <span class="soft">ID tokens</span>` : realm,
    html`<span class="mono" title="${kid}">${shortKid(kid)}</span>`,
    html`<span class="state ${stateLevel(state)}">${stateText(state)}</span
      >${alarm ? html` <span class="state bad">alarm ${alarm.id}</span>` : ""}`,
    html`${custody}${held === false ? html` <span class="state bad">not there</span>` : ""}`,
    `${countText(activeTenants)} ${activeTenants === 1 ? "tenant" : "tenants"}${"ids" in tenants ? "" : ` (${tenantsText(tenants)})`}`,
    step(key, now),
  ];
}

function step({ next }: KeyView, now: number): string {
  if (!next) return "no step";
  const when = next.at > now ? ` (${dayText(next.at)})` : "";
  return nextText(next, now).replace("prepublished", "standby") + when;
}

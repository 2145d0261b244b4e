import type { PageFacts } from "./facts.ts";
import { html, type Html } from "@redoubt/http";

/** docs/spec/architecture.md §9. */
const MEANINGS: Readonly<Record<string, string>> = {
  "isolation: none": "all processes run under one user: a compromised one reads its neighbours",
  "roots: demo": "root, ring and operator keys lie on this machine: for trying only",
  "roots: offline": "root keys are kept apart from every machine that runs this",
  "custody: plain-file": "signing keys lie on this disk, and the passphrase beside them",
  "log-keys: plain-file": "the logs' keys lie on this disk, and the passphrase beside them",
  "identity: plain-file": "the witness's key lies on this disk, and the passphrase beside it",
  "witness: same-machine": "whoever owns this machine owns the logs and their witness",
  "hardware: none":
    "leases rest on a TPM in software: they prove nothing about the machine that a signer runs on",
  "lease: cooperative": "signers hold their keys themselves, and look at their lease themselves",
  "presence: none": "nothing proved that a person was there",
  "self-reported": "issuers or verifiers are believed what they say of themselves",
};
const SHOWN = 24;

export function labelsSection({ system: { labels } }: PageFacts): Html {
  return html`<section id="labels" aria-labelledby="labels-heading">
    <h2 id="labels-heading">What this deployment is, and is not</h2>
    <dl class="card labels">
      ${labels.slice(0, SHOWN).map(
        (label) =>
          html`<div>
            <dt>${label}</dt>
            <dd>${meaningOf(label)}</dd>
          </div>`,
      )}
    </dl>
  </section>`;
}

function meaningOf(label: string): string {
  if (Object.hasOwn(MEANINGS, label)) return MEANINGS[label] ?? "";
  if (label.startsWith("unsafe: ")) return "somebody chose less than the rules ask for";
  return label.startsWith("custody: ")
    ? "where signing keys are kept"
    : "see docs/spec/architecture.md §9";
}

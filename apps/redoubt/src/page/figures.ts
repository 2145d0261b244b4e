import type { KeyView } from "../keys/key-list.ts";
import { span } from "../table.ts";
import type { PageFacts } from "./facts.ts";
import { bytesText, countText, dayText, shareText } from "./figure-text.ts";
import { html, type Html } from "@redoubt/http";
import { nextChange } from "./key-words.ts";

/** The numbers that a person looks at first. */
export function figures(facts: PageFacts): Html {
  return html`<section id="now" aria-labelledby="now-heading">
    <h2 id="now-heading">Now</h2>
    <div class="grid">
      ${rateCard(facts)}${forgedCard(facts)}${coverageCard(facts)}${changeCard(facts)}${diskCard(facts)}
    </div>
  </section>`;
}

function card(what: string, figure: string, meaning: string): Html {
  return html`<div class="card">
    <p class="soft">${what}</p>
    <p class="figure">${figure}</p>
    <p class="soft">${meaning}</p>
  </div>`;
}

function rateCard({ rates }: PageFacts): Html {
  const known = rates.flatMap(({ perMinute }) => (perMinute === null ? [] : [perMinute]));
  const sum = known.length === 0 ? "not known yet" : countText(known.reduce((a, b) => a + b, 0));
  const each = rates.map(
    ({ realm, perMinute }) => `${realm} ${perMinute === null ? "unknown" : countText(perMinute)}`,
  );
  return card("Tokens a minute", sum, each.join(", "));
}

function forgedCard({ system: { openAlarms } }: PageFacts): Html {
  if (!openAlarms) return card("Forged tokens seen", "unknown", "alarms cannot be read");
  const forged = openAlarms.filter(({ kind }) => kind === "forged");
  const count = forged.reduce((sum, alarm) => sum + alarm.count, 0);
  return card("Forged tokens seen", countText(count), "in open alarms");
}

function coverageCard({ coverage }: PageFacts): Html {
  const what = "Validated by the SDK";
  if (!coverage) return card(what, "unknown", "the monitor does not say");
  const { issued, seen } = coverage;
  if (issued === 0) return card(what, "none", "no token in the last hour");
  return card(
    what,
    shareText(seen, issued),
    `of ${countText(issued)} tokens of the last hour, at least`,
  );
}

function changeCard({ system: { keys }, now }: PageFacts): Html {
  const what = "Next key change";
  if (!keys) return card(what, "unknown", "keys cannot be read");
  const change: KeyView | undefined = nextChange(keys, now);
  if (!change?.next) return card(what, "none", "no key has a next step");
  const { next, realm } = change;
  const when = next.at <= now ? "now" : `in ${span(next.at - now)}`;
  const meaning = `${dayText(next.at)}, realm ${realm}, by itself`;
  return card(what, when, meaning);
}

const ROOM: Readonly<Record<string, string>> = {
  enough: "free, enough room",
  low: "free, room runs low, make some",
  critical: "free, nearly full, make room now",
  none: "free, full, nothing is issued",
  unknown: "the file system does not say",
};

function diskCard({ system: { disk } }: PageFacts): Html {
  if (!disk) return card("Disk", "unknown", "the supervisor does not say");
  const figure = disk.level === "unknown" ? "unknown" : bytesText(disk.freeBytes);
  return card(
    "Disk",
    figure,
    (Object.hasOwn(ROOM, disk.level) && ROOM[disk.level]) || "unreadable",
  );
}

import type { KeyState } from "@redoubt/keys";
import type { KeyView } from "../keys/key-list.ts";
import { dayText } from "./figure-text.ts";
import { html, type Html } from "@redoubt/http";
import { nextChange, shortKid, stateText } from "./key-words.ts";

interface Shape {
  readonly name: "wide" | "narrow";
  readonly width: number;
  /** Where time begins and ends. */
  readonly left: number;
  readonly right: number;
  readonly rowHeight: number;
  /** Of a row: its label's base line, and its bar's top. */
  readonly labelAt: number;
  readonly barAt: number;
  readonly ticks: number;
}

const TOP = 26;
const BAR = 16;
const DAY_SECONDS = 86_400;
const SHAPES: readonly Shape[] = [
  {
    name: "wide",
    width: 980,
    left: 240,
    right: 966,
    rowHeight: 30,
    labelAt: 19,
    barAt: 7,
    ticks: 5,
  },
  // Where there is little room a label stands above its bar: the text keeps its size.
  {
    name: "narrow",
    width: 330,
    left: 2,
    right: 326,
    rowHeight: 48,
    labelAt: 15,
    barAt: 22,
    ticks: 3,
  },
];

/** The keys' lives side by side, drawn twice: style.css shows the one that fits. */
export function timelines(keys: readonly KeyView[], now: number): Html {
  const drawn = keys.filter(({ state }) => KIND[state] !== null);
  return html`${SHAPES.map((shape) => timeline(drawn, now, shape))}${legend()}`;
}

const KIND = {
  generated: "standby",
  prepublished: "standby",
  active: "active",
  "verify-only": "verify",
  tainted: "tainted",
  retired: null,
  destroyed: null,
  revoked: null,
} as const satisfies Readonly<Record<KeyState, string | null>>;

interface Range {
  readonly from: number;
  readonly to: number;
}

/** From a while ago until after the last step that is foreseen. Who wrote the dates may lie: a year is enough. */
function rangeOf(keys: readonly KeyView[], now: number): Range {
  const steps = keys.flatMap(({ next }) => (next ? [next.at] : []));
  const last = Math.min(Math.max(now + DAY_SECONDS, ...steps), now + 366 * DAY_SECONDS);
  const ahead = (last - now) * 1.15;
  const first = Math.max(Math.min(now, ...keys.map(({ since }) => since)), now - ahead);
  return { from: Math.min(first, now - ahead * 0.12), to: now + ahead };
}

function timeline(keys: readonly KeyView[], now: number, shape: Shape): Html {
  const range = rangeOf(keys, now);
  const x = (seconds: number): number => {
    const share = (seconds - range.from) / (range.to - range.from);
    return Math.round(shape.left + Math.min(1, Math.max(0, share)) * (shape.right - shape.left));
  };
  const bottom = TOP + keys.length * shape.rowHeight;
  const nowAt = x(now);
  return html`<svg
    class="timeline ${shape.name}"
    viewBox="0 0 ${shape.width} ${bottom + 30}"
    role="img"
    aria-label="${summary(keys, now)}"
  >
    ${ticks(range, shape).map(({ at, anchor }) => html`<line class="tick" x1="${x(at)}" x2="${x(at)}" y1="${TOP}" y2="${bottom + 6}" /><text x="${x(at)}" y="${bottom + 22}" text-anchor="${anchor}">${dayText(at)}</text>`)}
    ${keys.map((key, i) => bars(key, { x, y: TOP + i * shape.rowHeight, shape, to: range.to }))}
    <line class="now" x1="${nowAt}" x2="${nowAt}" y1="${TOP - 6}" y2="${bottom + 6}" />
    ${keys.map((key, i) => label(key, TOP + i * shape.rowHeight, shape))}
    <text class="now-text" x="${nowAt}" y="${TOP - 11}" text-anchor="middle">now</text>
  </svg>`;
}

function ticks({ from, to }: Range, { ticks: count }: Shape) {
  return Array.from({ length: count }, (_, i) => ({
    at: from + ((to - from) * i) / (count - 1),
    anchor: i === 0 ? "start" : i === count - 1 ? "end" : "middle",
  }));
}

interface Place {
  readonly x: (seconds: number) => number;
  readonly y: number;
  readonly shape: Shape;
  readonly to: number;
}

function bars(key: KeyView, { x, y, shape, to }: Place): Html {
  const { state, since, next, verifyUntil } = key;
  const end = next?.at ?? verifyUntil;
  const isLast = !next || KIND[next.state] === null;
  return html`${bar(KIND[state] ?? "verify", [x(since), x(end)], y + shape.barAt)}${isLast ? "" : bar(`${KIND[next.state] ?? "verify"} planned`, [x(end), x(Math.min(verifyUntil, to))], y + shape.barAt)}`;
}

/** Over the line of now, which it may cross. */
function label({ realm, kid, state }: KeyView, y: number, shape: Shape): Html {
  const x = shape.name === "wide" ? 0 : shape.left;
  return html`<text class="label" x="${x}" y="${y + shape.labelAt}"
    >${realm} ${shortKid(kid)}, ${stateText(state)}</text
  >`;
}

function bar(kind: string, [from, to]: readonly [number, number], y: number): Html {
  return html`<rect
    class="bar ${kind}"
    x="${from}"
    y="${y}"
    width="${Math.max(3, to - from - 1)}"
    height="${BAR}"
    rx="3"
  />`;
}

function summary(keys: readonly KeyView[], now: number): string {
  const active = keys.filter(({ state }) => state === "active").length;
  const change = nextChange(keys, now);
  const next = change?.next
    ? `; next change ${dayText(change.next.at)}, realm ${change.realm}`
    : "";
  return `Timeline of ${keys.length} keys, ${active} of them active${next}. The table below has the same.`;
}

const MEANINGS = [
  ["active", "signs"],
  ["standby", "published, signs next"],
  ["verify", "verifies only"],
] as const;

function legend(): Html {
  return html`<ul class="legend">
    ${MEANINGS.map(
      ([kind, means]) =>
        html`<li>
          <svg viewBox="0 0 28 12" aria-hidden="true">
            <rect class="bar ${kind}" x="1" y="1" width="26" height="10" rx="3" /></svg
          >${means}
        </li>`,
    )}
    <li class="soft">paler: foreseen</li>
  </ul>`;
}
